// What the command line and the configuration files may say. Everything unknown, and every value
// out of bounds, is refused with a sentence that names it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "daemon/io/io.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

// What one uid may have at a time. uid 0 is charged, too: its mistakes fill memory as well.
struct Quotas {
    std::uint32_t queues = limits::queues_per_uid_max;
    std::uint32_t sessions = limits::sessions_per_uid_max;
    std::uint64_t memory_bytes = limits::memory_per_uid_max_bytes;  // virtual: segments and pools
};

// A queue of the configuration: made where it is missing.
struct DeclaredQueue {
    std::string name;
    wire::Options options;  // as said
    std::optional<std::uint32_t> owner;
};

struct Options {
    std::string socket;            // empty: the default of this user (server.hpp)
    std::string state_directory;   // empty: the default for the socket (state_directory.hpp)
    Nanoseconds idle_exit_ns = 0;  // after the last session, where no queue is held; 0: never
    Nanoseconds frame_time_max_ns = limits::frame_time_max_ns;  // from first byte to NUL
    std::string log_level = "info";
    Quotas quotas;
    std::string metrics;                // where to serve them (metrics/http.hpp); empty: nowhere
    wire::Options queue_defaults;       // of queues whose makers do not say
    std::vector<DeclaredQueue> queues;  // in the order of the configuration
    IoChoice io = IoChoice::automatic;
    bool keeper = true;           // of main(): have one where no service manager keeps descriptors
    bool handle_signals = false;  // main() says true; a daemon inside a test leaves them alone
    std::string configuration;    // the file; empty: the default one
};

// "90", "250ms", "1.5h": a number and ns, us, ms, s, m, h or d; a bare number is seconds. Nothing
// if it is not one, is negative, or does not fit.
std::optional<Nanoseconds> parse_duration(std::string_view text);
// "4096", "64K", "1.5GiB": a number and K, M, G or T, all powers of 1024, with or without B or iB.
std::optional<std::uint64_t> parse_size(std::string_view text);

// The options of the command line and, where it says nothing, of the configuration files; or the
// exit status with which the program is to end (after --help, --version, --check-config or a
// mistake, all of them printed here).
struct ParsedOptions {
    Options options;
    // What is wrong with the configuration files, of which nothing is taken then.
    std::vector<std::string> complaints;
    std::optional<int> exit_status;
};
ParsedOptions parse_options(int argument_count, const char* const* arguments);
// The same once more, for a reload: nothing is printed, and there is no exit status.
ParsedOptions reload_options(int argument_count, const char* const* arguments);

}  // namespace shmq::daemon

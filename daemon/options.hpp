// What the command line may say. Everything unknown, and every value out of bounds, is refused with
// a sentence that names it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "daemon/io/io.hpp"

namespace shmq::daemon {

// What one uid may have at a time. uid 0 is charged, too: its mistakes fill memory as well.
struct Quotas {
    std::uint32_t queues = limits::queues_per_uid_max;
    std::uint32_t sessions = limits::sessions_per_uid_max;
    std::uint64_t memory_bytes = limits::memory_per_uid_max_bytes;  // virtual: segments and pools
};

struct Options {
    std::string socket;            // empty: the default of this user (server.hpp)
    std::string state_directory;   // empty: the default for the socket (state_directory.hpp)
    Nanoseconds idle_exit_ns = 0;  // after the last session, where no queue is held; 0: never
    Nanoseconds frame_time_max_ns = limits::frame_time_max_ns;  // from first byte to NUL
    std::string log_level = "info";
    Quotas quotas;
    IoChoice io = IoChoice::automatic;
    bool keeper = true;           // of main(): have one where no service manager keeps descriptors
    bool handle_signals = false;  // main() says true; a daemon inside a test leaves them alone
};

// "90", "250ms", "1.5h": a number and ns, us, ms, s, m, h or d; a bare number is seconds. Nothing
// if it is not one, is negative, or does not fit.
std::optional<Nanoseconds> parse_duration(std::string_view text);
// "4096", "64K", "1.5GiB": a number and K, M, G or T, all powers of 1024, with or without B or iB.
std::optional<std::uint64_t> parse_size(std::string_view text);

// The options, or the exit status with which the program is to end (after --help, --version or a
// mistake, all of them printed here).
struct ParsedOptions {
    Options options;
    std::optional<int> exit_status;
};
ParsedOptions parse_options(int argument_count, const char* const* arguments);

}  // namespace shmq::daemon

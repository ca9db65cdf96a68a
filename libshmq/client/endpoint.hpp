// Where a daemon's socket may be, and connecting to it.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include <shmq/error.hpp>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace shmq {

struct Endpoint {
    std::string socket;
    // Its directory lies where anybody may make one: ours alone (check_private_directory), or none.
    bool in_tmp = false;

    std::string directory() const;
};

struct Endpoints {
    std::vector<Endpoint> in_order;  // never empty; a daemon is started at the first
    bool named = false;              // by the caller or by $SHMQ_SOCKET: it is the only one
};

// `named` empty: $SHMQ_SOCKET, else the places that ConnectOptions::socket tells.
Endpoints find_endpoints(const std::string& named);

// Whether `directory` is a directory of mode 0700 that belongs to us. Absence is fine.
Result<void> check_private_directory(const std::string& directory);

// A connected stream socket, or errno. Waits up to the deadline only while the daemon's queue of
// new connections is full (then EAGAIN).
std::expected<Fd, int> connect_socket(const std::string& path, Nanoseconds deadline);

// Sleeps for `duration` but not beyond `deadline`; false if that has come.
bool sleep_before(Nanoseconds deadline, Nanoseconds duration);

}  // namespace shmq

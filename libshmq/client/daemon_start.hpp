// Starting the user's own daemon where none answers: one of several starters does it, the others
// find it there.
#pragma once

#include <string>
#include <vector>

#include <shmq/error.hpp>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "client/endpoint.hpp"

namespace shmq {

// Held by whoever is starting a daemon in a directory, as an flock on its start.lock; it goes with
// the descriptor, so that a starter that is killed leaves nothing behind.
// Conditions: timed_out, system_error.
Result<Fd> take_start_lock(const std::string& directory, Nanoseconds deadline);

// The program to start: $SHMQ_SHMQD; else, the first there is of: shmqd beside our own program
// (if nobody but root and we could have put it there), where it was installed, on $PATH.
// Condition no_daemon, with the places that were searched.
Result<std::string> find_daemon_program();

// Starts a daemon that outlives us and holds nothing of ours (its own session, no descriptors,
// standard error to shmqd.log beside the socket), and waits until it accepts. A connected socket,
// perhaps to a daemon that another started meanwhile. Conditions: no_daemon, permission_denied,
// timed_out, system_error.
Result<Fd> start_daemon(const Endpoint& endpoint, Nanoseconds deadline);

}  // namespace shmq

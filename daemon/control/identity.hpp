// Who is at the other end of a connection, as the kernel says.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "daemon/rights.hpp"

namespace shmq::daemon {

// SO_PEERCRED and SO_PEERGROUPS: as of the peer's connect. False: errno says why.
bool identify(int socket, Caller& caller);

// The program that a process runs, for logs; empty where that cannot be known.
std::string executable_of(pid_t pid);

// Why `fd` cannot be taken for a pidfd of that process; empty: it can. Across pid namespaces the
// kernel tells no pid; there the peer is believed, for it only arranges its own cleaning up.
std::string check_pidfd(int fd, pid_t pid);

// Whether the process began after `time` (monotonic), so that it cannot be who did something then.
// False where that cannot be known.
bool started_after(pid_t pid, Nanoseconds time);

// A pidfd of the peer without its help: SO_PEERPIDFD, else pidfd_open of the pid of SO_PEERCRED.
// Invalid: errno says why.
Fd open_peer_pidfd(int socket, pid_t pid);

}  // namespace shmq::daemon

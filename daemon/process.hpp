// What the kernel tells of a process that is not our child.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace shmq::daemon {

// How a process ended: one of the two is not 0.
struct ProcessEnd {
    std::uint32_t signal = 0;
    std::uint32_t exit_status = 0;  // + 1
};
// Of a process whose pidfd says that it has ended. Nothing where the kernel does not tell: before
// Linux 6.15 it does only until the parent has reaped it, and only of processes of our own uid.
std::optional<ProcessEnd> how_it_ended(int pidfd, pid_t pid);

// Whether the process is stopped: by a signal, by a debugger, or with its cgroup. False where that
// cannot be known.
bool is_stopped(pid_t pid);

// Whether the process is about to end, or has: its pidfd says so a moment later. False where that
// cannot be known.
bool is_exiting(pid_t pid);

}  // namespace shmq::daemon

// What /proc says about a process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shmq::cli {

struct ProcessInfo {
    std::string executable;  // empty if it is not ours to know
    char state = '?';  // R running, S sleeping, D in the kernel, T stopped, Z ended; ? unknown
};

ProcessInfo look_at_process(std::uint32_t pid);
// Those that run now; fewer where /proc hides some.
std::vector<std::uint32_t> running_processes();

// The state in a line of /proc/PID/stat; '?' if there is none. The name before it, in parentheses,
// may hold anything.
char state_in_stat(std::string_view line);

}  // namespace shmq::cli

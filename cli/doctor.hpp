// What shmq doctor looks at: each check finds something, and says what to do about it.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"

namespace shmq::cli {

// note: good to know. warning: it works, and less well than it could. broken: something does not.
enum class Health { good, note, warning, broken };

struct Finding {
    std::string check;
    Health health = Health::good;
    std::string text;
    std::string remedy;  // empty where there is nothing to do
};

// The kernel, the limits, the machine. `daemon_pid`: whose limits count; 0: our own.
std::vector<Finding> examine_machine(std::uint32_t daemon_pid);

struct DaemonFindings {
    std::vector<Finding> findings;
    std::uint32_t pid = 0;  // of the one that answers; 0: none
};
// Sockets, directories, daemons, disks, queues. Starts no daemon.
DaemonFindings examine_daemon(const Context& context);

}  // namespace shmq::cli

// Who asks, and what somebody may do with a queue.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "wire/control.hpp"

namespace shmq::daemon {

// A peer as the kernel describes it, as of its connect.
struct Caller {
    pid_t pid = 0;  // 0: in a pid namespace that this one does not see
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;

    bool in_group(gid_t group) const;
    // root, and whom the daemon runs as.
    bool may_all() const;
};

// Bits of one octal digit of a mode.
enum Right : std::uint32_t { consume = 1, produce = 2, manage = 4, any = 7 };
std::string_view right_name(Right right);

// Whether the caller has one of the rights. As with files, the first class that fits decides:
// owner, group, others.
bool may(const Caller& caller, const wire::Ownership& ownership, std::uint32_t rights);

}  // namespace shmq::daemon

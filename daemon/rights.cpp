#include "daemon/rights.hpp"

#include <unistd.h>

#include <algorithm>

namespace shmq::daemon {

bool Caller::in_group(gid_t group) const {
    return gid == group || std::find(groups.begin(), groups.end(), group) != groups.end();
}

bool Caller::may_all() const {
    return uid == 0 || uid == ::geteuid();
}

std::string_view right_name(Right right) {
    switch (right) {
        case Right::consume:
            return "consume";
        case Right::produce:
            return "produce";
        case Right::manage:
            return "manage";
        case Right::any:
            break;
    }
    return "any";
}

bool may(const Caller& caller, const wire::Ownership& ownership, std::uint32_t rights) {
    if (caller.may_all()) return true;
    std::uint32_t granted = ownership.mode;
    if (caller.uid == ownership.owner) {
        granted >>= 6;
    } else if (caller.in_group(ownership.group)) {
        granted >>= 3;
    }
    return (granted & rights & Right::any) != 0;
}

}  // namespace shmq::daemon

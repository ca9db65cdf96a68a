// Descriptors that come along with a message (SCM_RIGHTS).
#pragma once

#include <sys/socket.h>

#include <cstring>

#include "base/fd.hpp"

namespace shmq {

// Calls take(Fd) for each descriptor that came with `message`, so that none is left open.
template <typename Take>
void take_descriptors(msghdr& message, Take take) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t index = 0; index < count; ++index) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(part) + index * sizeof number, sizeof number);
            take(Fd(number));
        }
    }
}

}  // namespace shmq

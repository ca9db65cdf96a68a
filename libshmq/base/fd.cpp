#include "base/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace shmq {

void Fd::reset(int descriptor) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = descriptor;
}

Fd Fd::duplicate() const {
    return Fd(::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0));
}

}  // namespace shmq

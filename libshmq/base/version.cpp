#include "base/version.hpp"

namespace shmq {

const char* version_text() noexcept {
    return SHMQ_VERSION;
}

}  // namespace shmq

#include "base/version.hpp"

#include <shmq/client.hpp>

namespace shmq {

const char* version() noexcept {
    return version_text();
}

}  // namespace shmq

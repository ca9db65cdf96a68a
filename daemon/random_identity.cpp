#include "daemon/random_identity.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include "base/check.hpp"

namespace shmq::daemon {

RandomIdentity random_identity() {
    RandomIdentity identity{};
    // Up to 256 bytes come whole or, before the system has any randomness, not at all.
    SHMQ_CHECK(::getrandom(identity.bytes, sizeof(identity.bytes), 0) ==
               static_cast<ssize_t>(sizeof(identity.bytes)));
    return identity;
}

std::string RandomIdentity::text() const {
    std::string digits;
    for (const std::uint8_t byte : bytes)
        digits += fmt::format("{:02x}", byte);
    return digits;
}

}  // namespace shmq::daemon

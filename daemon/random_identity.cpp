#include "daemon/random_identity.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <charconv>

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

std::optional<RandomIdentity> RandomIdentity::parse(std::string_view text) {
    RandomIdentity identity{};
    if (text.size() != 2 * sizeof identity.bytes) return std::nullopt;
    for (std::size_t i = 0; i < sizeof identity.bytes; ++i) {
        const char* from = text.data() + 2 * i;
        const auto [end, error] = std::from_chars(from, from + 2, identity.bytes[i], 16);
        if (error != std::errc() || end != from + 2) return std::nullopt;
    }
    return identity;
}

}  // namespace shmq::daemon

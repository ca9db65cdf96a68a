// Random numbers that name things for good.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shmq::daemon {

// A random number of 16 bytes, as segments, sessions and daemons are told apart by.
struct RandomIdentity {
    std::uint8_t bytes[16];
    std::string text() const;  // 32 hexadecimal digits
    // Nothing: it is no such text.
    static std::optional<RandomIdentity> parse(std::string_view text);
};
RandomIdentity random_identity();

}  // namespace shmq::daemon

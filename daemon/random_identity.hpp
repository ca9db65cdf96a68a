// Random numbers that name things for good.
#pragma once

#include <cstdint>
#include <string>

namespace shmq::daemon {

// A random number of 16 bytes, as segments, sessions and daemons are told apart by.
struct RandomIdentity {
    std::uint8_t bytes[16];
    std::string text() const;  // 32 hexadecimal digits
};
RandomIdentity random_identity();

}  // namespace shmq::daemon

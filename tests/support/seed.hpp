// The seed of a random test: printed, and taken back from SHMQ_TEST_SEED.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace shmq::support {

inline std::uint64_t test_seed(const char* test) {
    const char* given = std::getenv("SHMQ_TEST_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("%s: seed %llu (again: SHMQ_TEST_SEED=%llu)\n", test,
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    return seed;
}

inline bool test_all() {
    return std::getenv("SHMQ_TEST_ALL") != nullptr;
}

}  // namespace shmq::support

// What the processes of a chaos test do until they are killed or told to stop.
#pragma once

#include <cstdint>
#include <string>

#include "cli/chaos/books.hpp"

namespace shmq::chaos {

struct Play {
    std::string socket;
    std::string queue;
    Books* books = nullptr;
    std::uint32_t payload_most = 64;  // bytes; every eighth message is as large as that
    double messages_per_second = 0;   // of one producer, at most; 0: as fast as it can
};

// Each returns the exit status of its process.
int produce(const Play& play, std::uint32_t producer, std::uint64_t seed);
int consume(const Play& play, std::uint64_t seed);

}  // namespace shmq::chaos

// What a message is safe from: what a queue promises, and what a confirm says.
#pragma once

#include <cstdint>

namespace shmq {

// Levels, never mixed: each includes the one before.
enum class Durability : std::uint8_t {
    accepted = 0,  // in the queue's memory: survives any client and the daemon
    logged = 1,    // written to the journal: survives every process, not the kernel
    durable = 2,   // synced to the disk: survives power loss
};

}  // namespace shmq

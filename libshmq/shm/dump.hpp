// The slots of a segment as they stand, word by word, for `shmq dump`: whatever is in them, sound
// or not, of a living, hung or dead queue. Reads only, and believes nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/segment.hpp"

namespace shmq::shm {

struct SlotDump {
    bool ingress = false;  // of the second ring, of queues with a journal
    std::uint64_t index = 0;
    std::uint64_t lap = 0;
    std::uint32_t tag = 0;
    std::uint32_t owner = 0;
    std::uint32_t state = 0;  // as in docs/segment_format.md
    std::uint64_t sequence = 0;
    std::uint32_t length = 0;
    std::uint64_t timestamp = 0;
    // Words beside it, as they are; 0 in the ingress, which has none.
    std::uint64_t cell = 0;
    std::uint64_t attempts = 0;
    std::uint64_t note = 0;
    bool in_block = false;
    std::uint64_t block = 0;
    std::uint64_t generation = 0;
};

// Those that are not free, or all.
std::vector<SlotDump> dump_slots(const Segment& segment, bool free_ones);

// When the oldest messages of the ring were sent, on the clock of the time stamps; 0: there is
// none.
struct OldestMessages {
    std::uint64_t waiting = 0;  // ready or returned
    std::uint64_t leased = 0;   // in a consumer's hands
};
OldestMessages oldest_of(const Segment& segment);

}  // namespace shmq::shm

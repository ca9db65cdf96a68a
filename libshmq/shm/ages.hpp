// How long the oldest messages of a queue have been there.
#pragma once

#include <cstdint>

#include "base/clock.hpp"
#include "shm/segment.hpp"

namespace shmq::shm {

// 0: there is none.
struct Ages {
    std::uint64_t oldest_ready_ns = 0;    // not delivered, or to be delivered again
    std::uint64_t oldest_unacked_ns = 0;  // in a consumer's or in the supervisor's hands
};
// Walks the ring, of which any byte may be a peer's lie: then an age is one, too. `now`: on the
// clock that messages are stamped with.
Ages ages_of(const Segment& segment, Nanoseconds now);

}  // namespace shmq::shm

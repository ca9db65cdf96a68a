// How far a look at the participants has to go. The least vacant number is given out first
// (Supervise::admit), so behind the first that nobody ever had there is none that anybody had; and
// what was never looked at the kernel need not find memory for: 1024 records are 256 KiB.
//
// Who writes a queue's memory may hide its participants by it: from counts and from each other, not
// from the daemon, which knows from elsewhere whom it has let in.
#pragma once

#include <cstdint>

#include "shm/layout.hpp"
#include "shm/segment.hpp"

namespace shmq::shm {

// One more than the last number that anybody ever had.
inline std::uint32_t given_numbers_end(const ParticipantRecord* records,
                                       std::uint32_t participants) {
    std::uint32_t number = 1;
    while (number < participants && records[number].generation.load(memory_order_relaxed) != 0)
        ++number;
    return number;
}

inline std::uint32_t given_numbers_end(const Segment& segment) {
    const Geometry& geometry = segment.geometry();
    const auto* records = reinterpret_cast<const ParticipantRecord*>(segment.ring_base() +
                                                                     geometry.participants_offset);
    return segment.untouched() ? 1 : given_numbers_end(records, geometry.shape.participants);
}

}  // namespace shmq::shm

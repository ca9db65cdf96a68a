// The supervisor's counts of what happens once, exact whoever dies in between.
//
// A drop is a step (the slot becomes free) and a count; a number that is given back is a dozen
// counts moved into the totals. A supervisor that dies between the two halves would leave one
// missing or counted twice. So each such count is written down first, as { what, the value that the
// total will have }; a successor sees from the slot, or from what is written, whether it must still
// be done, and doing it twice changes nothing.
//
// Written and read by the supervisor alone, a peer's scribbles are bounds-checked: they falsify
// counts, which peers could do anyway.
#pragma once

#include <cstdint>

#include "shm/queue.hpp"

namespace shmq::shm {

class CountJournal {
  public:
    // Finishes what a predecessor was at when it died.
    static void recover(QueueView& view);

    // What becomes of a message that leaves the supervisor's hands; each has its total.
    enum class Drop : std::uint8_t {
        rejected,
        damaged,
        purged,
        failed,
        acked,       // by hand
        dead_limit,  // to the dead-letter queue, by reason
        dead_rejected,
        dead_expired,
        dead_crashed,
        redriven,  // to another queue by hand
        moved_in,  // from another queue: returned here
    };
    // Before the slot of that message is changed, and after: `dropped` tells whether it was.
    static void begin_drop(QueueView& view, Drop why, std::uint64_t sequence);
    static void end_drop(QueueView& view, Drop why, bool dropped);

    // Moves a participant's counters into the totals; its own are zero afterwards. What it leaves
    // undone is done by the next one who calls it for that number.
    static void fold(QueueView& view, std::uint16_t number);
};

}  // namespace shmq::shm

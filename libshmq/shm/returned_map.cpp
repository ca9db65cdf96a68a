#include "shm/returned_map.hpp"

#include <algorithm>

namespace shmq::shm {

void ReturnedFinds::begin() {
    count_ = given_ = 0;
    more_ = false;
}

void ReturnedFinds::look_everywhere(SlotRing& ring, ReturnedMap& map) {
    begin();
    look_from(ring, map, 0, ring.capacity());
}

void ReturnedFinds::look_from(SlotRing& ring, ReturnedMap& map, std::uint64_t index,
                              std::uint64_t end) {
    while ((index = map.first_set(index, end)) != end)
        look_at(ring, map, index++);
}

// Within a lap of the youngest that was kept, positions are sequences: the walk may end as soon as
// it has as many as it can keep.
void ReturnedFinds::look_further(SlotRing& ring, ReturnedMap& map) {
    const std::uint64_t from = finds_[kept_most - 1].sequence;
    begin();
    for (std::uint64_t step = 1; step < ring.capacity() && count_ < kept_most; ++step) {
        const std::uint64_t index = ring.index_of(from + step);
        const std::uint64_t cell = map.cell(index);
        const bool of_this_lap = cell_lap(cell) == (ring.lap_of(from + step) & lap_mask);
        if (cell_set(cell) && of_this_lap) look_into(ring, map, index, cell);
    }
    // What is more than a lap younger, or was returned meanwhile, only a look at all cells finds.
    if (count_ < kept_most) look_everywhere(ring, map);
    more_ = more_ || count_ == kept_most;
}

void ReturnedFinds::look_on(SlotRing& ring, ReturnedMap& map, std::uint64_t cells) {
    begin();
    const std::uint64_t end = walk_ + std::min(cells, ring.capacity());
    look_from(ring, map, walk_, std::min(end, ring.capacity()));
    if (end > ring.capacity()) look_from(ring, map, 0, end - ring.capacity());
    walk_ = ring.index_of(end);
}

void ReturnedFinds::look_at(SlotRing& ring, ReturnedMap& map, std::uint64_t index) {
    const std::uint64_t cell = map.cell(index);
    if (!cell_set(cell)) return;
    if (count_ == kept_most && too_young(ring, index, cell)) {
        more_ = true;
    } else {
        look_into(ring, map, index, cell);
    }
}

// By the cell alone: its slot's line would have to come from another processor.
bool ReturnedFinds::too_young(const SlotRing& ring, std::uint64_t index, std::uint64_t cell) const {
    const std::uint64_t youngest = finds_[count_ - 1].sequence;
    const std::int64_t laps = lap_difference(cell_lap(cell), ring.lap_of(youngest) & lap_mask);
    return laps > 0 || (laps == 0 && index > ring.index_of(youngest));
}

void ReturnedFinds::look_into(SlotRing& ring, ReturnedMap& map, std::uint64_t index,
                              std::uint64_t cell) {
    const SlotWord word = ring.word_at(index);
    const std::uint64_t sequence = ring.slot(index).sequence.load(memory_order_relaxed);
    const bool same_message =
        (ring.lap_of(sequence) & lap_mask) == cell_lap(cell) && word.tag() == cell_tag(cell);
    if (same_message && word.state() == SlotState::returned) {
        keep({index, cell, sequence});
        return;
    }
    // Its returner is on the way, or dead and soon reclaimed; so is the supervisor, with a message
    // from the journal that was delivered before.
    if (same_message && word.state() == SlotState::leased) return;
    if (word.state() == SlotState::writing && (word.lap() & lap_mask) == cell_lap(cell)) return;
    map.replace(index, cell, cleared_cell(cell));
}

// Insertion into the sorted few; the youngest falls out when there are too many.
void ReturnedFinds::keep(const Find& find) {
    if (count_ == kept_most) {
        more_ = true;
        if (!after(finds_[count_ - 1].sequence, find.sequence)) return;
        --count_;
    }
    std::uint32_t place = count_++;
    for (; place > 0 && after(finds_[place - 1].sequence, find.sequence); --place) {
        finds_[place] = finds_[place - 1];
    }
    finds_[place] = find;
}

}  // namespace shmq::shm

#include "shm/returned_map.hpp"

namespace shmq::shm {

void ReturnedFinds::look_everywhere(SlotRing& ring, ReturnedMap& map) {
    count_ = given_ = 0;
    more_ = false;
    for (std::uint64_t index = 0; index < ring.capacity(); ++index)
        look_at(ring, map, index);
}

void ReturnedFinds::look_on(SlotRing& ring, ReturnedMap& map, std::uint64_t cells) {
    count_ = given_ = 0;
    more_ = false;
    if (cells > ring.capacity()) cells = ring.capacity();
    for (std::uint64_t step = 0; step < cells; ++step) {
        look_at(ring, map, walk_);
        walk_ = ring.index_of(walk_ + 1);
    }
}

void ReturnedFinds::look_at(SlotRing& ring, ReturnedMap& map, std::uint64_t index) {
    const std::uint64_t cell = map.cell(index);
    if (!cell_set(cell)) return;
    const SlotWord word = ring.word_at(index);
    const std::uint64_t sequence = ring.slot(index).sequence.load(memory_order_relaxed);
    const bool same_message =
        (ring.lap_of(sequence) & lap_mask) == cell_lap(cell) && word.tag() == cell_tag(cell);
    if (same_message && word.state() == SlotState::returned) {
        keep({index, cell, sequence});
        return;
    }
    // Its returner is on the way, or dead and soon reclaimed.
    if (same_message && word.state() == SlotState::leased) return;
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

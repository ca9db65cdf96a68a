// Where to look for messages that wait to be delivered again: one cell for each slot, never the
// truth. The truth is the slot's word.
//
// A returner who owns the slot sets its cell, then changes the slot to returned, then moves the
// counter `returns`. A consumer that finds a cell takes the slot by CAS, then clears the cell by
// CAS of exactly the value it read.
//
// Setting is a CAS too, from a value read before the returner last saw itself own the slot. A
// returner overtaken by the expiry of its lease would otherwise overwrite the cell of a later
// return and hide that message (docs/decisions/0001-late-writers.md).
#pragma once

#include <cstdint>

#include "shm/layout.hpp"
#include "shm/slot_ring.hpp"

namespace shmq::shm {

class ReturnedMap {
  public:
    ReturnedMap() = default;
    ReturnedMap(ReturnedCell* cells, SegmentHeader& header) : cells_(cells), header_(&header) {}

    std::uint64_t cell(std::uint64_t index) const {
        return cells_[index].load(memory_order_acquire);  // [4]
    }
    // The first cell from `index` on that is set, or `end`. By fours: nearly always none is.
    std::uint64_t first_set(std::uint64_t index, std::uint64_t end) const {
        for (; index + 4 <= end; index += 4) {
            if (cell_set(cell(index) | cell(index + 1) | cell(index + 2) | cell(index + 3))) break;
        }
        while (index < end && !cell_set(cell(index)))
            ++index;
        return index;
    }
    bool replace(std::uint64_t index, std::uint64_t from, std::uint64_t to) {
        return cells_[index].compare_exchange_strong(from, to, memory_order_release,
                                                     memory_order_relaxed);  // [4]
    }
    // The one word that consumers compare before each take; whatever they must not miss moves it: a
    // return, a purge left to the holder of the role, another cap of messages in flight.
    std::uint64_t returns() const { return header_->returns.load(memory_order_acquire); }  // [5]
    void announce() { header_->returns.fetch_add(1, memory_order_seq_cst); }               // [5]

  private:
    ReturnedCell* cells_ = nullptr;
    SegmentHeader* header_ = nullptr;
};

// A consumer's private list of what its last look at the map found, oldest first: the map is walked
// once for many messages, not once for each.
class ReturnedFinds {
  public:
    struct Find {
        std::uint64_t index;
        std::uint64_t cell;
        std::uint64_t sequence;
    };
    // Walks the whole map; afterwards `next` yields the oldest finds.
    void look_everywhere(SlotRing& ring, ReturnedMap& map);
    // After a walk that found more than it could keep: the oldest behind those that it kept.
    void look_further(SlotRing& ring, ReturnedMap& map);
    // Walks the next few cells, so that whatever a stopped returner left is found in the end.
    void look_on(SlotRing& ring, ReturnedMap& map, std::uint64_t cells);
    // The oldest find not yet yielded; null when there is none.
    const Find* next() { return given_ < count_ ? &finds_[given_++] : nullptr; }
    // Whether `next` has one, or would have after another walk.
    bool pending() const { return given_ < count_ || more_; }
    // Whether the last walk found more than it could keep: look further when `next` is done.
    bool more() const { return more_; }

  private:
    static constexpr std::uint32_t kept_most = 64;

    void begin();
    void look_from(SlotRing& ring, ReturnedMap& map, std::uint64_t index, std::uint64_t end);
    void look_at(SlotRing& ring, ReturnedMap& map, std::uint64_t index);
    void look_into(SlotRing& ring, ReturnedMap& map, std::uint64_t index, std::uint64_t cell);
    bool too_young(const SlotRing& ring, std::uint64_t index, std::uint64_t cell) const;
    void keep(const Find& find);

    Find finds_[kept_most];
    std::uint32_t count_ = 0;
    std::uint32_t given_ = 0;
    bool more_ = false;
    std::uint64_t walk_ = 0;
};

}  // namespace shmq::shm

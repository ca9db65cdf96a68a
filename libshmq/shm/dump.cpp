#include "shm/dump.hpp"

#include "shm/queue.hpp"

namespace shmq::shm {
namespace {

SlotDump slot_of(const QueueView& view, const SlotRing& ring, std::uint64_t index) {
    const SlotWord word = ring.word_at(index);
    const SlotHeader& slot = ring.slot(index);
    const BlockHandle block = view.block_at(ring, index);
    return {.index = index,
            .lap = word.lap(),
            .tag = word.tag(),
            .owner = word.owner(),
            .state = static_cast<std::uint32_t>(word.state()),
            .sequence = slot.sequence.load(memory_order_relaxed),
            .length = slot.length.load(memory_order_relaxed) & length_mask,
            .timestamp = slot.timestamp.load(memory_order_relaxed),
            .in_block = block.valid(),
            .block = block.valid() ? block.block : 0,
            .generation = block.valid() ? block.generation : 0};
}

}  // namespace

std::vector<SlotDump> dump_slots(const Segment& segment, bool free_ones) {
    const QueueView view(segment.ring_base(), segment.pool_base(), segment.geometry());
    constexpr auto free = static_cast<std::uint32_t>(SlotState::free);
    std::vector<SlotDump> slots;
    for (std::uint64_t index = 0; index < view.ring.capacity(); ++index) {
        SlotDump slot = slot_of(view, view.ring, index);
        if (slot.state == free && !free_ones) continue;
        slot.cell = view.map.cell(index);
        slot.attempts = view.attempts[index].load(memory_order_acquire);
        slot.note = view.notes[index].load(memory_order_acquire);
        slots.push_back(slot);
    }
    for (std::uint64_t index = 0; view.has_journal() && index < view.ingress.capacity(); ++index) {
        SlotDump slot = slot_of(view, view.ingress, index);
        slot.ingress = true;
        if (slot.state != free || free_ones) slots.push_back(slot);
    }
    return slots;
}

OldestMessages oldest_of(const Segment& segment) {
    const QueueView view(segment.ring_base(), segment.pool_base(), segment.geometry());
    OldestMessages oldest;
    const auto note = [](std::uint64_t& least, std::uint64_t time) {
        if (time != 0 && (least == 0 || time < least)) least = time;
    };
    for (std::uint64_t index = 0; index < view.ring.capacity(); ++index) {
        const SlotWord word = view.ring.word_at(index);
        const bool waits = word.state() == SlotState::ready || word.state() == SlotState::returned;
        if (!waits && (word.state() != SlotState::leased || word.owner() == 0)) continue;
        const std::uint64_t time = view.ring.slot(index).timestamp.load(memory_order_relaxed);
        atomic_fence(memory_order_acquire);
        if (view.ring.word_at(index) == word) note(waits ? oldest.waiting : oldest.leased, time);
    }
    return oldest;
}

}  // namespace shmq::shm

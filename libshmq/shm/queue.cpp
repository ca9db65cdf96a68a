#include "shm/queue.hpp"

namespace shmq::shm {
namespace {

template <typename T>
T* at(std::byte* base, std::uint64_t offset) {
    return reinterpret_cast<T*>(base + offset);
}

}  // namespace

QueueView::QueueView(std::byte* ring_base, std::byte* pool_base, const Geometry& plan)
    : geometry(&plan),
      header(at<SegmentHeader>(ring_base, 0)),
      participants(at<ParticipantRecord>(ring_base, plan.participants_offset)),
      attempts(at<SlotAttempts>(ring_base, plan.attempts_offset)),
      notes(at<SlotNote>(ring_base, plan.notes_offset)),
      first_failures(at<SlotFirstFailure>(ring_base, plan.failures_offset)),
      ring(ring_base + plan.slots_offset, {&header->head, &header->tail}, plan.capacity_log2,
           plan.slot_size_log2),
      map(at<ReturnedCell>(ring_base, plan.returned_offset), *header),
      pool(at<BlockRecord>(ring_base, plan.blocks_offset), pool_base, plan) {
    if (plan.has(durable_log)) lsns = at<SlotLsn>(ring_base, plan.lsns_offset);
    if (!plan.has(journal_present)) return;
    ingress = SlotRing(ring_base + plan.ingress_offset,
                       {&header->journal.ingress_head, &header->journal.ingress_tail},
                       plan.ingress_log2, plan.slot_size_log2);
}

BlockHandle QueueView::block_at(const SlotRing& of, std::uint64_t position) const {
    const std::uint32_t length = of.slot(position).length.load(memory_order_relaxed);
    if (length <= geometry->inline_bytes) return {};
    if ((length & length_history) == 0 && (length & length_mask) <= geometry->inline_bytes) {
        return {};
    }
    const auto& reference = *reinterpret_cast<const BlockReference*>(of.payload(position));
    return {reference.block.load(memory_order_relaxed),
            reference.generation.load(memory_order_relaxed)};
}

Attempts QueueView::attempts_of(std::uint64_t sequence) const {
    const auto counted =
        Attempts::unpack(attempts[ring.index_of(sequence)].load(memory_order_acquire));
    return counted.lap == (ring.lap_of(sequence) & lap_mask) ? counted : Attempts{};
}

}  // namespace shmq::shm

#include <algorithm>
#include <cstring>

#include "shm/queue.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {

namespace {

// Behind the largest payload that may go at once. What is asked of each message alike, and nearly
// never, is asked here once.
std::uint64_t end_of_at_once(const Geometry& geometry, bool fence) {
    if (fence || geometry.has(exact_timestamps)) return 0;
    return std::min<std::uint64_t>(
               {at_once_bytes, geometry.inline_bytes, geometry.shape.max_message}) +
           1;
}

}  // namespace

SendSide::SendSide(const QueueView& view, std::uint16_t number, bool fence)
    : view_(view),
      record_(&view.participants[number]),
      number_(number),
      exclusive_(view.geometry->has(exclusive_producer) && !view.has_journal()),
      drop_oldest_(view.geometry->shape.overflow ==
                   static_cast<std::uint32_t>(Overflow::drop_oldest)),
      fence_(fence),
      at_once_end_(end_of_at_once(*view.geometry, fence)) {
    cursor_.next = view_.header->tail.load(memory_order_relaxed);
    cursor_.skips = drop_cursor_.skips = &record_->skips;
    drop_cursor_.next = view_.header->head.load(memory_order_relaxed);
    ingress_cursor_.next = view_.header->journal.ingress_tail.load(memory_order_relaxed);
    ingress_cursor_.skips = &record_->skips;
}

SendStatus SendSide::try_send(const std::byte* data, std::size_t length, std::uint64_t timestamp,
                              bool wake_now) {
    if (send_at_once(data, length, timestamp)) [[likely]] {
        if (wake_now) wake_receivers(1);
        return SendStatus::sent;
    }
    Place there;
    const SendStatus status = place(
        length, timestamp, wake_now, false,
        [&](std::byte* payload) {
            if (length != 0) std::memcpy(payload, data, length);
        },
        there);
    if (!run_.covers(cursor_.next)) run_ = view_.ring.run_from(cursor_.next, UINT64_MAX);
    return status;
}

BlockHandle SendSide::allocate(std::uint64_t bytes) {
    for (;;) {
        const GateWord gate = look_at_gate(*view_.header);
        if (gate.state() != GateState::direct)
            return view_.pool.allocate(bytes, number_, block_cursors_, BlockPool::Part::journal);
        const BlockHandle block = view_.pool.allocate(bytes, number_, block_cursors_);
        if (block.valid()) return block;
        if (view_.has_journal()) {
            call_journal(gate);
        } else if (!drop_oldest_ || !make_room()) {
            return block;
        }
    }
}

bool SendSide::refuses() const {
    return (view_.header->live_flags.load(memory_order_relaxed) & when_full_reject) != 0 &&
           view_.header->journal.no_room.load(memory_order_relaxed) != 0;
}

SendStatus SendSide::try_send_block(BlockHandle block, std::size_t length, std::uint64_t timestamp,
                                    bool wake_now) {
    Place there;
    const bool by_journal =
        view_.has_journal() && view_.pool.part_of(block.block) == BlockPool::Part::journal;
    const SendStatus status = place(
        length, timestamp, wake_now, by_journal,
        [&](std::byte* payload) {
            auto& reference = *reinterpret_cast<BlockReference*>(payload);
            reference.block.store(block.block, memory_order_relaxed);
            reference.generation.store(block.generation, memory_order_relaxed);
        },
        there);
    if (status != SendStatus::sent || !view_.pool.hand_over(block, number_)) return status;
    // Until now the block looked like a loan of ours. If its message is done already and whoever
    // did that died before freeing the block, nobody else will.
    const SlotHeader& slot = there.ring->slot(there.position);
    const SlotWord word = there.ring->word_at(there.position);
    const bool still_there =
        (word.state() == SlotState::ready || word.state() == SlotState::leased ||
         word.state() == SlotState::returned) &&
        slot.sequence.load(memory_order_relaxed) == there.position;
    if (!still_there) release(block);
    return status;
}

// Claims a slot, fills it, publishes it. Nothing of it can be seen before it is whole. Whoever was
// skipped or refused starts again at the gate. `by_journal`: what it refers to may not wait in the
// front ring.
template <typename Fill>
SendStatus SendSide::place(std::size_t length, std::uint64_t timestamp, bool wake_now,
                           bool by_journal, Fill fill, Place& there) {
    if (closed()) [[unlikely]]
        return why_closed();
    for (;;) {
        const GateWord gate = look_at_gate(*view_.header);
        if (gate.state() == GateState::direct) {
            const SendStatus status =
                by_journal ? SendStatus::full
                           : place_in_front(length, timestamp, wake_now, fill, there);
            if (status == SendStatus::sent) return status;
            if (status == SendStatus::full && !view_.has_journal()) {
                bump(record_->full);
                return status;
            }
            if (status == SendStatus::full) call_journal(gate);
        } else {
            bool gate_moved = false;
            const SendStatus status = place_in_ingress(length, timestamp, fill, there, gate_moved);
            if (!gate_moved) return status;
        }
    }
}

template <typename Fill>
bool SendSide::fill_and_publish(SlotRing& ring, std::uint64_t position, std::size_t length,
                                std::uint64_t timestamp, Fill fill) {
    return fill_and_publish(ring, position, ring.slot(position),
                            SlotWord::free(ring.lap_of(position)), length, timestamp, fill);
}

// refused: it was skipped.
template <typename Fill>
SendStatus SendSide::place_in_front(std::size_t length, std::uint64_t timestamp, bool wake_now,
                                    Fill fill, Place& there) {
    there.ring = &view_.ring;
    for (;;) {
        const ClaimStatus status = exclusive_ ? view_.ring.find_free(cursor_, there.position)
                                              : view_.ring.claim(cursor_, number_, there.position);
        if (status == ClaimStatus::claimed) break;
        if (!drop_oldest_ || !make_room()) return SendStatus::full;
    }
    if (!fill_and_publish(view_.ring, there.position, length, timestamp, fill))
        return SendStatus::refused;
    if (wake_now) wake_receivers(1);
    return SendStatus::sent;
}

template <typename Fill>
SendStatus SendSide::place_in_ingress(std::size_t length, std::uint64_t timestamp, Fill fill,
                                      Place& there, bool& gate_moved) {
    there.ring = &view_.ingress;
    switch (view_.ingress.claim(ingress_cursor_, number_, there.position)) {
        case ClaimStatus::full:
            bump(record_->full);
            tell_of_arrival();  // in place of whoever filled it, should that one be stopped
            return refuses() ? SendStatus::refused : SendStatus::full;
        case ClaimStatus::closed:
            reopen_ingress(there.position);
            gate_moved = true;
            return SendStatus::full;
        case ClaimStatus::claimed:
            break;
    }
    if (!fill_and_publish(view_.ingress, there.position, length, timestamp, fill)) {
        gate_moved = true;
        return SendStatus::full;
    }
    ingress_position_ = there.position + 1;
    tell_of_arrival();
    return SendStatus::sent;
}

// [12] The supervisor says that it sleeps, then looks once more; we published, then look. Nobody
// takes that word back but the supervisor: who is stopped before it rings keeps nobody from it.
void SendSide::tell_of_arrival() {
    if (view_.header->journal.listening.load(memory_order_seq_cst) != 0) supervisor_needed_ = true;
}

// The front ring is full: whatever is sent from here on goes behind what the journal has.
void SendSide::call_journal(GateWord seen) {
    change_gate(*view_.header, seen, GateState::journal);
}

void SendSide::reopen_ingress(std::uint64_t position) {
    const GateWord gate = look_at_gate(*view_.header);
    if (gate.state() == GateState::closing) {
        change_gate(*view_.header, gate, GateState::journal);
    } else if (gate.state() == GateState::journal) {
        const SlotWord word = view_.ingress.word_at(position);
        if (word.state() == SlotState::closed && closed_before(word, gate)) {
            view_.ingress.change(position, word, SlotWord::free(word.lap()));
        }
    }
}

// Drops the oldest ready message: by lease, so that a kill before the free returns it, and noted,
// so that a kill after the free leaves it counted. False: none ready.
bool SendSide::make_room() {
    Lease lease;
    if (view_.ring.take(drop_cursor_, number_, lease) == TakeStatus::empty) return false;
    const BlockHandle block = view_.block_at(lease.sequence);
    const std::uint64_t dropped =
        DropCount::unpack(record_->dropped.load(memory_order_relaxed)).dropped;
    const auto note = [&](DropCount count) {
        record_->dropped.store(count.pack(), memory_order_release);
    };
    note({dropped, view_.ring.index_of(lease.sequence) + 1});
    if (view_.ring.ack(lease) == HoldStatus::done) {
        if (block.valid()) view_.pool.free(block);
        note({dropped + 1, 0});
    } else {
        note({dropped, 0});  // the supervisor took us for dead
    }
    return true;
}

void SendSide::wake_space() {
    if (wake(view_.header->space, view_.space_wakes())) bump(record_->wakes);
}

}  // namespace shmq::shm

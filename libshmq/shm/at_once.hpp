// The way of nearly every message through SendSide and ReceiveSide; included by queue.hpp.
//
// Inline down to the caller, without a call on the way, so that nothing is spilled or copied: here
// a saved register costs as much as the message's cache line. Whatever is not as nearly always
// makes these return false: nothing was sent, received or acked, and the whole story is told in
// send_side.cpp and receive_side.cpp. Both walk a LapRun, which they leave every thousand slots at
// the latest: what need not be looked at each time is looked at then.
#pragma once

#include <cstring>

#include "shm/queue.hpp"

namespace shmq::shm {

// Payloads up to this are copied without a call.
constexpr std::size_t at_once_bytes = 64;

// In words: what a program has just written in words cannot be read in wider pieces until it has
// left the core's store buffer. The first words and the last ones, which may overlap: no loop.
// REQUIRES: length <= at_once_bytes.
[[gnu::always_inline]] inline void copy_at_once(std::byte* to, const std::byte* from,
                                                std::size_t length) {
    constexpr std::size_t word = sizeof(std::uint64_t);
    const auto copy_word = [&](std::size_t offset) __attribute__((always_inline)) {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, from + offset, word);
        std::memcpy(to + offset, &bytes, word);
    };
    const auto copy_two = [&](std::size_t offset) __attribute__((always_inline)) {
        copy_word(offset);
        copy_word(offset + word);
    };
    if (length >= 2 * word) {
        copy_two(0);
        if (length > 4 * word) {
            copy_two(2 * word);
            copy_two(length - 4 * word);
        }
        copy_two(length - 2 * word);
    } else if (length >= word) {
        copy_word(0);
        copy_word(length - word);
    } else {
        for (std::size_t i = 0; i < length; ++i)
            to[i] = from[i];
    }
}

// Fills a slot that is ours and publishes it. False: the claim was skipped.
template <typename Fill>
[[gnu::always_inline]] inline bool SendSide::fill_and_publish(SlotRing& ring,
                                                              std::uint64_t position,
                                                              SlotHeader& slot, SlotWord free,
                                                              std::size_t length,
                                                              std::uint64_t timestamp, Fill fill) {
    ParticipantRecord& record = *record_;
    ring.prefetch_to_fill(position);
    slot.sequence.store(position, memory_order_relaxed);
    slot.length.store(static_cast<std::uint32_t>(length), memory_order_relaxed);
    slot.flags.store(0, memory_order_relaxed);
    slot.timestamp.store(timestamp, memory_order_relaxed);
    fill(payload_of(slot));
    if (exclusive_) {
        SlotRing::publish_exclusive(slot, free);
        cursor_.next = position + 1;
        SegmentHeader& header = *view_.header;
        if ((position & 63) == 63) header.tail.store(position + 1, memory_order_relaxed);
        fence_if_asked(header.items, fence_);
    } else if (!ring.publish(position, number_, slot, free)) [[unlikely]] {
        bump(record.resent);  // behind the messages that went past us
        return false;
    }
    bump(record.sent);
    bump(record.sent_bytes, length);
    return true;
}

[[gnu::always_inline]] inline bool SendSide::send_at_once(const std::byte* data, std::size_t length,
                                                          std::uint64_t timestamp) {
    const std::uint64_t position = cursor_.next;
    const SlotWord free = run_.free;
    if (!run_.covers(position) || length >= at_once_end_ || closed() ||
        !gate_is_direct(*view_.header)) [[unlikely]] {
        return false;
    }
    SlotHeader& slot = view_.ring.slot(position);
    const bool ours = exclusive_ ? slot.word.load(memory_order_acquire) == free.raw  // [2]
                                 : view_.ring.claim_slot(cursor_, number_, position, slot, free);
    if (!ours) [[unlikely]]
        return false;
    const auto fill = [&](std::byte * payload) __attribute__((always_inline)) {
        copy_at_once(payload, data, length);
    };
    return fill_and_publish(view_.ring, position, slot, free, length, timestamp, fill);
}

// What is left to do with a slot that became ours, and whose payload it holds.
[[gnu::always_inline]] inline void ReceiveSide::opened(Delivery& delivery, SlotHeader& slot,
                                                       std::uint32_t length, bool marked) {
    ParticipantRecord& record = *record_;
    delivery.timestamp = slot.timestamp.load(memory_order_relaxed);
    delivery.data = payload_of(slot);
    delivery.length = length;
    delivery.deliveries = 1;
    delivery.failures = 0;
    delivery.block = {};
    ++in_flight_;
    if (marked) ++leased_;
    bump(record.delivered);
    bump(record.delivered_bytes, length);
}

[[gnu::always_inline]] inline bool ReceiveSide::at_once_possible() const {
    const SegmentHeader& header = *view_.header;
    return run_.covers(cursor_.next) && in_flight_ < in_flight_limit_ &&
           header.space.closed.load(memory_order_relaxed) == 0 &&
           header.returns.load(memory_order_acquire) == seen_returns_;  // [5]
}

[[gnu::always_inline]] inline bool ReceiveSide::receive_at_once(Delivery& delivery,
                                                                bool ask_ahead) {
    const std::uint64_t position = cursor_.next;
    if (!at_once_possible()) [[unlikely]]
        return false;
    SlotHeader& slot = view_.ring.slot(position);
    const SlotHeader& ahead = view_.ring.slot_ahead(position);
    const SlotWord ready = run_.free.to(SlotState::ready, 0);
    // The length is that of this lap's message: the word says ready of this lap before it is read,
    // and again when the slot becomes ours.
    if (slot.word.load(memory_order_acquire) != ready.raw) [[unlikely]]  // [1]
        return false;
    const std::uint32_t length = slot.length.load(memory_order_relaxed);
    if (length > inline_bytes_) [[unlikely]]
        return false;
    if (exclusive_) [[likely]] {
        delivery.lease = {position, ready};
        cursor_.next = position + 1;
        record_->read_position.store(position + 1, memory_order_relaxed);
    } else if (!view_.ring.take_slot(cursor_, number_, position, slot, ready, delivery.lease))
        [[unlikely]] {
        return false;
    }
    if (ask_ahead) prefetch_for_write(&ahead);
    opened(delivery, slot, length, !exclusive_);
    return true;
}

[[gnu::always_inline]] inline bool ReceiveSide::ack_at_once(SlotHeader& slot, Lease lease) {
    if (lease.unmarked()) [[likely]] {
        if (SlotRing::ack_read(slot, lease.word) != HoldStatus::done) [[unlikely]]
            return false;
        // In order, as they nearly always come; after_acks passes those that did not.
        if (lease.sequence == base_) base_ = lease.sequence + 1;
    } else {
        if (!SlotRing::change(slot, lease.word, lease.word.freed())) [[unlikely]]  // [2]
            return false;
        --leased_;
    }
    --in_flight_;
    bump(record_->acked);
    return true;
}

[[gnu::always_inline]] inline bool ReceiveSide::acks_need_more(std::uint64_t sequence) const {
    const SegmentHeader& header = *view_.header;
    return (sequence & sample_mask) == 0 || anybody_waits(header.space) ||
           header.space.fenced.load(memory_order_relaxed) != 0 ||
           (fence_or_journal_ &&
            (fence_ || header.journal.wants_room.load(memory_order_relaxed) == 1));
}

}  // namespace shmq::shm

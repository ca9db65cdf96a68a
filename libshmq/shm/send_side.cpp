#include <cstring>

#include "shm/queue.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {

SendSide::SendSide(const QueueView& view, std::uint16_t number, bool fence)
    : view_(view),
      record_(&view.participants[number]),
      number_(number),
      exclusive_(view.geometry->has(exclusive_producer)),
      drop_oldest_(view.geometry->shape.overflow ==
                   static_cast<std::uint32_t>(Overflow::drop_oldest)),
      fence_(fence) {
    cursor_.next = view_.header->tail.load(memory_order_relaxed);
    cursor_.skips = drop_cursor_.skips = &record_->skips;
    drop_cursor_.next = view_.header->head.load(memory_order_relaxed);
}

SendStatus SendSide::try_send(const std::byte* data, std::size_t length, std::uint64_t timestamp,
                              bool wake_now) {
    if (send_at_once(data, length, timestamp)) [[likely]] {
        if (wake_now) wake_receivers(1);
        return SendStatus::sent;
    }
    std::uint64_t position = 0;
    return place(
        length, timestamp, wake_now,
        [&](std::byte* payload) {
            if (length != 0) std::memcpy(payload, data, length);
        },
        position);
}

BlockHandle SendSide::allocate(std::uint64_t bytes) {
    for (;;) {
        const BlockHandle block = view_.pool.allocate(bytes, number_, block_cursors_);
        if (block.valid() || !drop_oldest_ || !make_room()) return block;
    }
}

SendStatus SendSide::try_send_block(BlockHandle block, std::size_t length, std::uint64_t timestamp,
                                    bool wake_now) {
    std::uint64_t position = 0;
    const SendStatus status = place(
        length, timestamp, wake_now,
        [&](std::byte* payload) {
            auto& reference = *reinterpret_cast<BlockReference*>(payload);
            reference.block.store(block.block, memory_order_relaxed);
            reference.generation.store(block.generation, memory_order_relaxed);
        },
        position);
    if (status != SendStatus::sent || !view_.pool.hand_over(block, number_)) return status;
    // Until now the block looked like a loan of ours. If its message is done already and whoever
    // did that died before freeing the block, nobody else will.
    const SlotHeader& slot = view_.ring.slot(position);
    const SlotWord word = view_.ring.word_at(position);
    const bool still_there =
        (word.state() == SlotState::ready || word.state() == SlotState::leased ||
         word.state() == SlotState::returned) &&
        slot.sequence.load(memory_order_relaxed) == position;
    if (!still_there) release(block);
    return status;
}

// Claims a slot, fills it, publishes it. Nothing of it can be seen before it is whole.
template <typename Fill>
SendStatus SendSide::place(std::size_t length, std::uint64_t timestamp, bool wake_now, Fill fill,
                           std::uint64_t& position) {
    if (closed()) [[unlikely]]
        return SendStatus::closed;
    for (;;) {
        const ClaimStatus status = exclusive_ ? view_.ring.find_free(cursor_, position)
                                              : view_.ring.claim(cursor_, number_, position);
        if (status == ClaimStatus::full) [[unlikely]] {
            if (drop_oldest_ && make_room()) continue;
            bump(record_->full);
            return SendStatus::full;
        }
        if (fill_and_publish(position, length, timestamp, fill)) break;
    }
    if (wake_now) wake_receivers(1);
    return SendStatus::sent;
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

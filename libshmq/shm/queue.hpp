// A queue as one thing: ring, returned map, pool and participants over one mapping. The send side
// and the receive side compose their steps here; nothing else touches two of the parts.
//
// No call in this file blocks, allocates, or makes a system call but to wake sleepers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "shm/block_pool.hpp"
#include "shm/gate.hpp"
#include "shm/geometry.hpp"
#include "shm/layout.hpp"
#include "shm/returned_map.hpp"
#include "shm/slot_ring.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {

// The parts of a mapped queue. REQUIRES: mapping and geometry outlive it.
struct QueueView {
    QueueView() = default;
    QueueView(std::byte* ring_base, std::byte* pool_base, const Geometry& geometry);

    const Geometry* geometry = nullptr;
    SegmentHeader* header = nullptr;
    ParticipantRecord* participants = nullptr;
    SlotAttempts* attempts = nullptr;
    SlotNote* notes = nullptr;
    SlotFirstFailure* first_failures = nullptr;
    SlotLsn* lsns = nullptr;  // null: not a durable queue
    SlotRing ring;
    SlotRing ingress;  // only with a journal
    ReturnedMap map;
    BlockPool pool;

    // Where the payload of the slot at `position` lies; the caller owns the slot, or compares its
    // word before and after. A handle that is invalid means inline.
    std::uint32_t length_at(std::uint64_t position) const {
        return ring.slot(position).length.load(memory_order_relaxed) & length_mask;
    }
    BlockHandle block_at(std::uint64_t position) const { return block_at(ring, position); }
    BlockHandle block_at(const SlotRing& of, std::uint64_t position) const;
    bool has_journal() const { return geometry->has(journal_present); }
    // The count of vain deliveries of the message with that sequence.
    Attempts attempts_of(std::uint64_t sequence) const;
    // Counts one more, unless the lease with that tag was counted already. `held` tells whether the
    // caller still owns the slot; it is asked between reading the old count and replacing it.
    template <typename Held>
    void count_attempt(std::uint64_t sequence, std::uint8_t tag, bool failed, Held held);
    // Sets the cell of a slot about to be returned. False: not ours any more.
    template <typename Held>
    bool set_cell(std::uint64_t sequence, std::uint8_t tag, Held held);
    // Leaves word for the supervisor. False: another one was left meanwhile.
    bool write_note(std::uint64_t index, std::uint64_t expected, const Note& note) {
        return notes[index].compare_exchange_strong(expected, note.pack(), memory_order_release,
                                                    memory_order_relaxed);  // [6]
    }
    // How many sleeping producers one freed slot or block should wake: with a pool they wait for
    // different things, so all must look.
    std::uint32_t space_wakes() const { return geometry->class_count == 0 ? 1 : UINT32_MAX; }
};

// refused: the journal finds no room, and the queue's users are not to wait for it.
// paused: for now nobody may send; wait as for room.
enum class SendStatus { sent, full, refused, closed, too_big, paused };

// A producer's side. One thread at a time.
class SendSide {
  public:
    // `number` from the daemon; `fence`: this process could not register for barriers.
    SendSide(const QueueView& view, std::uint16_t number, bool fence);

    // Copies `length` bytes into a slot. REQUIRES: length <= inline_bytes of the geometry.
    // `wake_now` false: the caller makes up for it with wake_receivers().
    SendStatus try_send(const std::byte* data, std::size_t length, std::uint64_t timestamp,
                        bool wake_now = true);
    // The same where all is as it nearly always is: at most at_once_bytes, the next slot free.
    // Wakes nobody: that is for the caller, receivers_wait() tells. False: nothing happened.
    bool send_at_once(const std::byte* data, std::size_t length, std::uint64_t timestamp);
    bool receivers_wait() const { return anybody_waits(view_.header->items); }
    // A block to write a payload into. Invalid: none is free (drop-oldest has dropped what it
    // could). REQUIRES: inline_bytes < bytes <= max_message.
    BlockHandle allocate(std::uint64_t bytes);
    // Whether the queue would rather refuse a message now than have its sender wait.
    bool refuses() const;
    void release(BlockHandle block) {
        view_.pool.free(block);
        wake_space();
    }
    // Publishes a block of ours. On `sent` it belongs to the message.
    SendStatus try_send_block(BlockHandle block, std::size_t length, std::uint64_t timestamp,
                              bool wake_now = true);
    // Wakes up to `count` sleeping receivers.
    void wake_receivers(std::uint32_t count) {
        if (wake(view_.header->items, count)) [[unlikely]]
            bump(record_->wakes);
    }
    void wake_space();
    // A guess by one slot further on: whether a run of them is free, of a part of the ring at most.
    bool room_for(std::uint64_t run) const {
        const bool direct = gate_is_direct(*view_.header);
        const SlotRing& ring = direct ? view_.ring : view_.ingress;
        return ring.free_at((direct ? cursor_ : ingress_cursor_).next + ring.run_length(run));
    }
    // Whether the supervisor waits for what was sent into the journal since the last call.
    bool take_supervisor_needed() { return std::exchange(supervisor_needed_, false); }
    // Behind the last message that went into the ingress: its confirms count in these positions.
    std::uint64_t ingress_position() const { return ingress_position_; }

    QueueView& view() { return view_; }
    ParticipantRecord& record() { return *record_; }
    // Also while sending is paused: why_closed() tells.
    bool closed() const { return view_.header->items.closed.load(memory_order_relaxed) != 0; }
    SendStatus why_closed() const {
        return is_paused(view_.header->items) ? SendStatus::paused : SendStatus::closed;
    }
    // Whether the queue would rather refuse a message than have its sender wait, journal apart.
    bool rejects() const {
        return (view_.header->live_flags.load(memory_order_relaxed) & overflow_reject) != 0;
    }

  private:
    // Where a message lies.
    struct Place {
        const SlotRing* ring = nullptr;
        std::uint64_t position = 0;
    };
    template <typename Fill>
    SendStatus place(std::size_t length, std::uint64_t timestamp, bool wake_now, bool by_journal,
                     Fill fill, Place& place);
    template <typename Fill>
    SendStatus place_in_front(std::size_t length, std::uint64_t timestamp, bool wake_now, Fill fill,
                              Place& place);
    template <typename Fill>
    SendStatus place_in_ingress(std::size_t length, std::uint64_t timestamp, Fill fill,
                                Place& place, bool& gate_moved);
    template <typename Fill>
    bool fill_and_publish(SlotRing& ring, std::uint64_t position, std::size_t length,
                          std::uint64_t timestamp, Fill fill);
    template <typename Fill>
    bool fill_and_publish(SlotRing& ring, std::uint64_t position, SlotHeader& slot, SlotWord free,
                          std::size_t length, std::uint64_t timestamp, Fill fill);
    void call_journal(GateWord seen);
    void tell_of_arrival();
    void reopen_ingress(std::uint64_t position);
    bool make_room();

    QueueView view_;
    ParticipantRecord* record_;
    std::uint16_t number_;
    bool exclusive_;  // and by plain stores: no queue with a journal
    bool drop_oldest_;
    bool fence_;
    bool supervisor_needed_ = false;
    std::uint64_t at_once_end_;  // a payload shorter than this may go at once
    LapRun run_;                 // where it may: as far as the cursor is in there
    Cursor cursor_;
    Cursor drop_cursor_;
    Cursor ingress_cursor_;
    std::uint64_t ingress_position_ = 0;
    BlockPool::Cursors block_cursors_;
};

// A message in a consumer's hands.
struct Delivery {
    Lease lease;
    const std::byte* data = nullptr;
    std::uint32_t length = 0;
    std::uint32_t deliveries = 1;
    std::uint32_t failures = 0;
    std::uint64_t timestamp = 0;
    BlockHandle block;
    // Read by an exclusive consumer without a mark in the ring.
    bool unmarked() const { return lease.unmarked(); }
};

// paused: for now nobody may receive; wait as for a message.
enum class ReceiveStatus { received, empty, closed, limit, paused };

// A consumer's side. One thread at a time.
class ReceiveSide {
  public:
    ReceiveSide(const QueueView& view, std::uint16_t number, std::uint32_t in_flight_cap,
                bool fence);

    // Returned messages first, then the oldest ready one. `thorough`: walk the whole returned map
    // if nothing else is there; ask for it before sleeping.
    ReceiveStatus try_receive(Delivery& delivery, bool thorough = false);
    // The same where all is as it nearly always is: nothing asks for attention, the next message is
    // ready, its payload in its slot. False: nothing happened.
    // `ask_ahead`: asks for the line of a slot further on. Not in a dialogue: there it is the other
    // side's, which is about to write it.
    bool receive_at_once(Delivery& delivery, bool ask_ahead = true);
    // Whether receive_at_once fails only for want of a message.
    bool at_once_possible() const;
    // Whether a slot is a cache line and no more.
    bool slots_are_lines() const { return view_.ring.slots_are_lines(); }
    // Where it looks for the next new message.
    std::uint64_t next_position() const { return cursor_.next; }
    // A guess by one slot further on: whether a run of them is ready, of a part of the ring at
    // most.
    bool ready_ahead(std::uint64_t run) const {
        return view_.ring.ready_at(cursor_.next + view_.ring.run_length(run));
    }

    // What try_receive would answer, without taking: `received` where it would find something,
    // unless another is faster. Moves only what this side knows. `thorough` as there;
    // `take_supervisor_needed` afterwards.
    ReceiveStatus look(bool thorough = false);

    // Each ends the delivery. stale: it had ended before.
    HoldStatus ack(const Delivery& delivery, bool wake_now = true) {
        return ack(delivery.lease, delivery.block, wake_now);
    }
    HoldStatus ack(const Lease& lease, BlockHandle block, bool wake_now = true);
    // The same for a message whose `slot` no producer has passed over, but for its block. False:
    // nothing happened.
    bool ack_at_once(SlotHeader& slot, Lease lease);
    // Whether after_acks must follow an ack at once: somebody waits, or it is one in 64.
    bool acks_need_more(std::uint64_t sequence) const;
    // What one or many acks at once leave to be done. `take_supervisor_needed` afterwards.
    void after_acks(bool wake_now = true) {
        if (exclusive_) advance_base();
        if (wake_now) wake_space();
    }
    // Back to the queue: at once, or where it has a retry delay after that, or at `due` (monotonic
    // ns) if not 0. `take_supervisor_needed` afterwards: ring the doorbell.
    HoldStatus nack(Delivery& delivery, std::uint64_t due = 0);
    // Leaves the message to the supervisor. `take_supervisor_needed` afterwards: ring the doorbell.
    HoldStatus reject(Delivery& delivery, NoteKind why = NoteKind::rejected);
    // Renews the lease for the queue's lease time, or until `deadline` (monotonic ns) if not 0.
    // What an exclusive consumer has read has no lease that could run out: nothing to do.
    HoldStatus extend(Delivery& delivery, std::uint64_t deadline);
    bool held(const Delivery& delivery) const;
    // Exclusive consumers: acks everything in hand up to that sequence. Returns how many.
    std::size_t ack_through(std::uint64_t sequence);
    // The handle that was given to ack_through is done with: a marked message counts until then.
    void let_go(const Lease& lease) {
        if (!lease.unmarked()) ended(true);
    }

    // Returns all that it holds; every handle is stale afterwards.
    void give_everything_back();

    void wake_space() {
        if (exclusive_) fence_if_asked(view_.header->space, fence_);
        if (anybody_waits(view_.header->space)) [[unlikely]]
            wake_space_sleepers();
        if (has_journal_) tell_of_room(false);
    }
    // Whether the journal has messages that will come into the ring.
    bool more_to_come() const;
    // Where the journal's messages wait for room: sees to it that the supervisor is told. `empty`:
    // there is nothing to receive any more; else only once there is room for many.
    void tell_of_room(bool empty);
    // After a sleep: passes the wake-up on if there is more than we took.
    void pass_wake_on();
    // After a sleep, whatever it was ended by, of who will not take now: wakes another consumer
    // that sleeps. REQUIRES: something is there, or may be.
    void wake_another();
    std::uint32_t in_flight() const { return static_cast<std::uint32_t>(in_flight_); }
    // How many it may hold now.
    std::uint32_t in_flight_limit() const;
    bool exclusive() const { return exclusive_; }
    // Whether a message was left to the supervisor since the last call.
    bool take_supervisor_needed() {
        const bool needed = supervisor_needed_;
        supervisor_needed_ = false;
        return needed;
    }
    // Also while receiving is paused.
    bool closed() const { return view_.header->space.closed.load(memory_order_relaxed) != 0; }

    QueueView& view() { return view_; }
    ParticipantRecord& record() { return *record_; }

  private:
    // A consumer that finds nothing announced in the returned map still walks on in it after so
    // many positions: a returner may have been stopped before it could announce its return.
    static constexpr std::uint64_t positions_between_looks = 1024;
    // An exclusive consumer stores the head hint when it has moved this far.
    static constexpr std::uint64_t head_interval = 64;

    ReceiveStatus look_and_take(Delivery& delivery, bool thorough);
    bool anything_there(bool thorough);
    void plan_next_look();
    HoldStatus give_back(Delivery& delivery);
    HoldStatus leave_to_supervisor(Delivery& delivery, NoteKind why, std::uint32_t value);
    bool receive_returned(Delivery& delivery);
    bool receive_found(Delivery& delivery);
    bool open(Delivery& delivery);
    void opened(Delivery& delivery, SlotHeader& slot, std::uint32_t length, bool marked);
    void free_for_purge();
    void ended(bool was_marked) {
        --in_flight_;
        if (was_marked) --leased_;
    }
    void advance_base();
    bool ack_read_at(std::uint64_t position);
    void wake_space_sleepers();

    QueueView view_;
    ParticipantRecord* record_;
    std::uint16_t number_;
    std::uint32_t in_flight_cap_;
    std::uint32_t inline_bytes_;
    bool exclusive_;
    bool fence_;
    bool has_journal_;
    bool fence_or_journal_;
    bool supervisor_needed_ = false;
    Cursor cursor_;
    ReturnedFinds finds_;
    std::uint64_t seen_returns_;
    std::uint64_t seen_purges_;
    std::uint64_t in_flight_ = 0;
    std::uint64_t leased_ = 0;  // of in_flight_, those with a mark in the ring
    std::uint64_t base_ = 0;    // exclusive: no message of ours is unread or unacked before it
    std::uint64_t stored_head_ = 0;
    std::uint64_t next_look_ = 0;  // the position at which we look at the returned map unasked
    std::uint64_t in_flight_limit_ = 0;  // as of the last look
    LapRun run_;                         // before next_look_; at once only in there
};

// ---- Templates ---------------------------------------------------------------------------------

template <typename Held>
void QueueView::count_attempt(std::uint64_t sequence, std::uint8_t tag, bool failed, Held held) {
    auto& cell = attempts[ring.index_of(sequence)];
    const std::uint64_t lap = ring.lap_of(sequence) & lap_mask;
    std::uint64_t present = cell.load(memory_order_acquire);
    for (;;) {
        if (!held()) return;
        Attempts next = Attempts::unpack(present);
        if (next.lap != lap) {
            next = Attempts{lap, 0, 0, 0};
        } else if (next.deliveries > 0 && next.tag == tag) {
            return;
        }
        const std::uint32_t most = limits::deliveries_counted_max;
        next.deliveries += next.deliveries < most ? 1 : 0;
        next.failures += failed && next.failures < most ? 1 : 0;
        next.tag = tag;
        if (cell.compare_exchange_strong(present, next.pack(), memory_order_acq_rel,
                                         memory_order_acquire)) {
            return;
        }
    }
}

template <typename Held>
bool QueueView::set_cell(std::uint64_t sequence, std::uint8_t tag, Held held) {
    const std::uint64_t index = ring.index_of(sequence);
    for (;;) {
        const std::uint64_t present = map.cell(index);
        if (!held()) return false;
        if (map.replace(index, present, returned_cell(present, ring.lap_of(sequence), tag)))
            return true;
    }
}

}  // namespace shmq::shm

#include "shm/at_once.hpp"

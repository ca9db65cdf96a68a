#include <algorithm>

#include "shm/queue.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

// How far a consumer walks on in the returned map where nothing was announced: at each empty look,
// and after so many takes. Who polls is off the slot's line meanwhile, about 100 ns, and does not
// take it away from the producer that is writing it.
constexpr std::uint64_t cells_a_walk = 512;

}  // namespace

ReceiveSide::ReceiveSide(const QueueView& view, std::uint16_t number, std::uint32_t in_flight_cap,
                         bool fence)
    : view_(view),
      record_(&view.participants[number]),
      number_(number),
      in_flight_cap_(in_flight_cap),
      inline_bytes_(view.geometry->inline_bytes),
      exclusive_(view.geometry->has(exclusive_consumer)),
      fence_(fence && exclusive_),
      has_journal_(view.has_journal()),
      fence_or_journal_(fence_ || has_journal_),
      seen_returns_(view.map.returns() - 1),  // look once at the start
      seen_purges_(view.header->purge_requests.load(memory_order_acquire)) {
    cursor_.next = view_.header->head.load(memory_order_relaxed);
    cursor_.skips = &record_->skips;
    base_ = stored_head_ = next_look_ = cursor_.next;
}

// ---- Receiving ---------------------------------------------------------------------------------

ReceiveStatus ReceiveSide::try_receive(Delivery& delivery, bool thorough) {
    if (receive_at_once(delivery)) return ReceiveStatus::received;
    const ReceiveStatus status = look_and_take(delivery, thorough);
    plan_next_look();
    return status;
}

// Up to where messages may be received at once, that is without a look at the returned ones.
void ReceiveSide::plan_next_look() {
    if (finds_.pending()) next_look_ = cursor_.next;
    const std::uint64_t next = cursor_.next;
    run_ = view_.ring.run_from(next, after(next_look_, next) ? next_look_ - next : 0);
}

ReceiveStatus ReceiveSide::look(bool thorough) {
    if (closed()) [[unlikely]]
        return is_paused(view_.header->space) ? ReceiveStatus::paused : ReceiveStatus::closed;
    in_flight_limit_ = in_flight_limit();
    if (in_flight_ >= in_flight_limit_) return ReceiveStatus::limit;
    const bool there = anything_there(thorough);
    plan_next_look();
    if (there) return ReceiveStatus::received;
    if (has_journal_) tell_of_room(true);
    return ReceiveStatus::empty;
}

bool ReceiveSide::anything_there(bool thorough) {
    // A purge that was left to the holder of the role: its next receive sees to it.
    if (exclusive_ && view_.header->purge_requests.load(memory_order_relaxed) != seen_purges_)
        return true;
    const std::uint64_t returns = view_.map.returns();
    if (returns != seen_returns_) {
        seen_returns_ = returns;
        finds_.look_everywhere(view_.ring, view_.map);
    }
    if (finds_.pending() || view_.ring.any_ready(cursor_, !exclusive_)) return true;
    if (thorough) {
        finds_.look_everywhere(view_.ring, view_.map);
    } else {
        finds_.look_on(view_.ring, view_.map, cells_a_walk);
    }
    return finds_.pending();
}

ReceiveStatus ReceiveSide::look_and_take(Delivery& delivery, bool thorough) {
    if (closed()) [[unlikely]]
        return is_paused(view_.header->space) ? ReceiveStatus::paused : ReceiveStatus::closed;
    in_flight_limit_ = in_flight_limit();
    if (in_flight_ >= in_flight_limit_) [[unlikely]]
        return ReceiveStatus::limit;
    if (exclusive_ && view_.header->purge_requests.load(memory_order_relaxed) != seen_purges_)
        [[unlikely]] {
        free_for_purge();
    }
    const bool look = view_.map.returns() != seen_returns_ || finds_.pending() ||
                      !after(next_look_, cursor_.next);
    if (look && receive_returned(delivery)) [[unlikely]]
        return ReceiveStatus::received;
    for (;;) {
        const TakeStatus status = exclusive_ ? view_.ring.read(cursor_, delivery.lease)
                                             : view_.ring.take(cursor_, number_, delivery.lease);
        if (status == TakeStatus::taken) {
            if (exclusive_) record_->read_position.store(cursor_.next, memory_order_relaxed);
            if (open(delivery)) return ReceiveStatus::received;
            continue;
        }
        if (thorough) {
            finds_.look_everywhere(view_.ring, view_.map);
        } else {
            finds_.look_on(view_.ring, view_.map, cells_a_walk);
        }
        if (receive_found(delivery)) return ReceiveStatus::received;
        if (has_journal_) tell_of_room(true);
        return ReceiveStatus::empty;
    }
}

// Looks where returned messages are announced, and now and then where they are not.
bool ReceiveSide::receive_returned(Delivery& delivery) {
    next_look_ = cursor_.next + positions_between_looks;
    const std::uint64_t returns = view_.map.returns();
    if (returns != seen_returns_) {
        seen_returns_ = returns;
        finds_.look_everywhere(view_.ring, view_.map);
    } else if (!finds_.pending()) {
        finds_.look_on(view_.ring, view_.map, cells_a_walk);
    }
    if (receive_found(delivery)) return true;
    while (finds_.more()) {
        finds_.look_further(view_.ring, view_.map);
        if (receive_found(delivery)) return true;
    }
    return false;
}

bool ReceiveSide::receive_found(Delivery& delivery) {
    while (const auto* find = finds_.next()) {
        if (view_.ring.take_returned(find->index, find->cell, number_, delivery.lease) ==
            TakeStatus::empty) {
            continue;  // another was faster
        }
        view_.map.replace(find->index, find->cell, cleared_cell(find->cell));
        if (!open(delivery)) continue;
        const Attempts attempts = view_.attempts_of(delivery.lease.sequence);
        delivery.deliveries = attempts.deliveries + 1;
        delivery.failures = attempts.failures;
        bump(record_->redelivered);
        return true;
    }
    return false;
}

// Reads the header of a slot now ours. False: its content makes no sense; the supervisor has it.
// The slot's bytes are a peer's: they are believed as far as they stay inside the pool.
bool ReceiveSide::open(Delivery& delivery) {
    const std::uint64_t sequence = delivery.lease.sequence;
    SlotHeader& slot = view_.ring.slot(sequence);
    const std::uint32_t word = slot.length.load(memory_order_relaxed);
    const std::uint32_t length = word & length_mask;
    const BlockHandle block = view_.block_at(sequence);
    const bool marked = !delivery.unmarked();
    if (word <= inline_bytes_ || !block.valid()) {
        opened(delivery, slot, length, marked);
        return true;
    }
    const std::byte* data = view_.pool.data(block);
    if (data != nullptr && length <= view_.pool.block_bytes(block.block)) {
        opened(delivery, slot, length, marked);
        delivery.block = block;
        delivery.data = data;
        return true;
    }
    ++in_flight_;  // until it is rejected
    if (marked) ++leased_;
    reject(delivery, NoteKind::damaged);
    return false;
}

// ---- Ending a delivery -------------------------------------------------------------------------

HoldStatus ReceiveSide::ack(const Lease& lease, BlockHandle block, bool wake_now) {
    if (!ack_at_once(view_.ring.slot(lease.sequence), lease)) {
        if (lease.unmarked()) {  // it went with ack_through, which counted it
            bump(record_->stale);
            return HoldStatus::stale;
        }
        if (view_.ring.ack_moved(lease) == HoldStatus::stale) {
            bump(record_->stale);
            ended(true);
            return HoldStatus::stale;
        }
        bump(record_->acked);
        ended(true);
    }
    if (block.valid()) view_.pool.free(block);
    if (acks_need_more(lease.sequence)) after_acks(wake_now);
    return HoldStatus::done;
}

HoldStatus ReceiveSide::nack(Delivery& delivery, std::uint64_t due) {
    if (due != 0) return leave_to_supervisor(delivery, NoteKind::postponed, grain_at(due));
    const bool later = (view_.header->live_flags.load(memory_order_relaxed) & retry_delayed) != 0;
    if (later) return leave_to_supervisor(delivery, NoteKind::nacked, 0);
    return give_back(delivery);
}

HoldStatus ReceiveSide::give_back(Delivery& delivery) {
    const bool unmarked = delivery.unmarked();
    if (unmarked) {
        if (view_.ring.lease_read(delivery.lease, number_) == HoldStatus::stale) {
            bump(record_->stale);
            return HoldStatus::stale;
        }
        ++leased_;
    }
    const Lease& lease = delivery.lease;
    const auto held = [&] { return view_.ring.held(lease); };
    view_.count_attempt(lease.sequence, lease.word.tag(), false, held);
    HoldStatus status = HoldStatus::stale;
    if (view_.set_cell(lease.sequence, lease.word.tag(), held)) {
        status = view_.ring.give_back(lease);
    }
    ended(true);
    if (unmarked && lease.sequence == base_) advance_base();
    if (status == HoldStatus::stale) {
        bump(record_->stale);
        return status;
    }
    view_.map.announce();
    if (unmarked) wake_space();  // producers pass over what is marked now
    bump(record_->nacked);
    if (wake(view_.header->items, 1)) bump(record_->wakes);
    return status;
}

HoldStatus ReceiveSide::reject(Delivery& delivery, NoteKind why) {
    const HoldStatus status = leave_to_supervisor(delivery, why, number_);
    if (status == HoldStatus::done) bump(record_->rejected);
    return status;
}

HoldStatus ReceiveSide::leave_to_supervisor(Delivery& delivery, NoteKind why, std::uint32_t value) {
    const bool unmarked = delivery.unmarked();
    if (unmarked) {
        if (view_.ring.lease_read(delivery.lease, number_) == HoldStatus::stale) {
            bump(record_->stale);
            return HoldStatus::stale;
        }
        ++leased_;
    }
    const Lease& lease = delivery.lease;
    const std::uint64_t index = view_.ring.index_of(lease.sequence);
    const Note note{view_.ring.lap_of(lease.sequence) & 0xfffff, lease.word.tag(), why, value};
    HoldStatus status = HoldStatus::stale;
    for (bool noted = false; !noted;) {
        const std::uint64_t present = view_.notes[index].load(memory_order_relaxed);
        if (!view_.ring.held(lease)) break;
        noted = view_.write_note(index, present, note);
        if (noted) status = view_.ring.surrender(lease);
    }
    ended(true);
    if (unmarked && lease.sequence == base_) advance_base();
    if (status == HoldStatus::stale) {
        bump(record_->stale);
        return status;
    }
    if (unmarked) wake_space();  // producers pass over what is marked now
    if (why == NoteKind::postponed || why == NoteKind::nacked) bump(record_->nacked);
    view_.header->supervisor_work.store(1, memory_order_release);  // [6]
    supervisor_needed_ = true;
    return status;
}

HoldStatus ReceiveSide::extend(Delivery& delivery, std::uint64_t deadline) {
    if (delivery.unmarked()) return HoldStatus::done;
    Lease& lease = delivery.lease;
    const std::uint64_t index = view_.ring.index_of(lease.sequence);
    const std::uint64_t present = view_.notes[index].load(memory_order_relaxed);
    const HoldStatus status = view_.ring.extend(lease, view_.attempts_of(lease.sequence).tag);
    if (status == HoldStatus::stale) {
        bump(record_->stale);
        return status;
    }
    if (deadline != 0) {
        view_.write_note(index, present,
                         {view_.ring.lap_of(lease.sequence) & 0xfffff, lease.word.tag(),
                          NoteKind::deadline, grain_at(deadline)});
    }
    bump(record_->extended);
    return status;
}

bool ReceiveSide::held(const Delivery& delivery) const {
    if (!delivery.unmarked()) return view_.ring.held(delivery.lease);
    return view_.ring.word_at(delivery.lease.sequence) == delivery.lease.word;
}

// ---- Exclusive consumers -----------------------------------------------------------------------

// Frees a slot that we have read, if it still is unacked.
bool ReceiveSide::ack_read_at(std::uint64_t position) {
    const SlotWord word = view_.ring.word_at(position);
    if (word != SlotWord::ready(view_.ring.lap_of(position))) return false;
    const BlockHandle block = view_.block_at(position);
    if (SlotRing::ack_read(view_.ring.slot(position), word) == HoldStatus::stale) return false;
    if (block.valid()) view_.pool.free(block);
    return true;
}

std::size_t ReceiveSide::ack_through(std::uint64_t sequence) {
    std::size_t acked = 0;
    const std::uint64_t end = after(sequence + 1, cursor_.next) ? cursor_.next : sequence + 1;
    for (std::uint64_t position = base_; after(end, position); ++position) {
        if (!ack_read_at(position)) continue;
        ++acked;
        ended(false);
    }
    // Those that came from the returned map carry our mark; their handles still count them.
    if (leased_ != 0) {
        for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
            const SlotWord word = view_.ring.word_at(index);
            if (word.state() != SlotState::leased || word.owner() != number_) continue;
            const std::uint64_t held = view_.ring.slot(index).sequence.load(memory_order_relaxed);
            const BlockHandle block = view_.block_at(index);
            if (after(held, sequence) || view_.ring.ack({held, word}) == HoldStatus::stale)
                continue;
            if (block.valid()) view_.pool.free(block);
            ++acked;
        }
    }
    bump(record_->acked, acked);
    advance_base();
    if (acked != 0) wake_space();
    return acked;
}

// Moves past what is acked, and tells others now and then.
void ReceiveSide::advance_base() {
    while (after(cursor_.next, base_) && !view_.ring.ready_at(base_))
        ++base_;
    if (base_ - stored_head_ < head_interval) return;
    view_.header->head.store(base_, memory_order_relaxed);
    stored_head_ = base_;
}

std::uint32_t ReceiveSide::in_flight_limit() const {
    return std::min(view_.header->in_flight_cap.load(memory_order_relaxed), in_flight_cap_);
}

// A purge is a position up to which the holder of the role frees what it has not read.
void ReceiveSide::free_for_purge() {
    seen_purges_ = view_.header->purge_requests.load(memory_order_acquire);
    const std::uint64_t end = view_.header->purge_position.load(memory_order_relaxed);
    Lease lease;
    while (after(end, cursor_.next) && view_.ring.read(cursor_, lease) == TakeStatus::taken) {
        if (!after(end, lease.sequence)) {
            cursor_.next = lease.sequence;
            break;
        }
        record_->read_position.store(cursor_.next, memory_order_relaxed);
        if (ack_read_at(lease.sequence)) bump(record_->purged);
    }
    advance_base();
    wake_space();
}

// By detaching: nothing of this counts as a failure, and none of it waits for the daemon.
void ReceiveSide::give_everything_back() {
    Delivery delivery;
    if (exclusive_) {
        for (std::uint64_t position = base_; after(cursor_.next, position); ++position) {
            const SlotWord word = view_.ring.word_at(position);
            if (word != SlotWord::ready(view_.ring.lap_of(position))) continue;
            delivery.lease = {position, word};
            give_back(delivery);
        }
        advance_base();
    }
    if (leased_ == 0) return;
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        if (word.state() != SlotState::leased || word.owner() != number_) continue;
        delivery.lease = {view_.ring.slot(index).sequence.load(memory_order_relaxed), word};
        if (view_.ring.index_of(delivery.lease.sequence) == index) give_back(delivery);
    }
}

// ---- Waking ------------------------------------------------------------------------------------

void ReceiveSide::wake_space_sleepers() {
    if (wake_waiters(view_.header->space, view_.space_wakes())) bump(record_->wakes);
}

bool ReceiveSide::more_to_come() const {
    if (!has_journal_) return false;
    const JournalArea& area = view_.header->journal;
    const std::uint64_t next = area.ingress_head.load(memory_order_relaxed);
    return area.backlog.load(memory_order_acquire) != 0 || view_.ingress.ready_at(next) ||
           view_.ingress.ready_beyond(next);
}

void ReceiveSide::tell_of_room(bool empty) {
    auto& wanted = view_.header->journal.wants_room;
    if (wanted.load(memory_order_relaxed) != 1) return;
    const std::uint64_t begun = later(view_.header->head.load(memory_order_relaxed), cursor_.next);
    const std::uint64_t left = view_.header->tail.load(memory_order_relaxed) - begun;
    if (!empty && left > view_.ring.capacity() / 2 && left <= view_.ring.capacity()) return;
    // One of us rings. Should it be stopped before, the supervisor's own time brings it back.
    std::uint32_t expected = 1;
    if (wanted.compare_exchange_strong(expected, 2, memory_order_seq_cst, memory_order_relaxed))
        supervisor_needed_ = true;
}

void ReceiveSide::pass_wake_on() {
    if (!anybody_waits(view_.header->items)) return;
    const bool more = view_.map.returns() != seen_returns_ || finds_.more() ||
                      view_.ring.ready_beyond(cursor_.next - 1);
    if (!more) return;
    if (wake_waiters(view_.header->items, 1)) bump(record_->wakes);
}

// An exclusive one is alone.
void ReceiveSide::wake_another() {
    if (!exclusive_ && wake(view_.header->items, 1)) bump(record_->wakes);
}

}  // namespace shmq::shm

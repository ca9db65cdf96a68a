#include "shm/journal_side.hpp"

#include <algorithm>
#include <cstring>

#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

// Others change a word under us, each once a lap at most.
constexpr int rounds_most = 64;
// A search for a place in the front ring follows no peer's words for ever.
std::uint64_t steps_most(const SlotRing& ring) {
    return 8 * ring.capacity() + 64;
}

bool fits(const Geometry& geometry, const Refill& message) {
    if (!message.moved) return message.payload.size() <= geometry.shape.max_message;
    const bool in_block = (message.marks & length_history) != 0;
    return message.length <= length_mask && message.payload.size() <= geometry.largest_place() &&
           (!in_block || geometry.class_count != 0);
}

}  // namespace

JournalSide::JournalSide(const QueueView& view)
    : view_(view), free_next_(view.header->journal.ingress_head.load(memory_order_relaxed)) {
    take_cursor_.next = free_next_;
    front_cursor_.next = view_.header->tail.load(memory_order_relaxed);
    // The hint may lag behind by a few positions.
    filled_end_ = front_cursor_.next + 2 * hint_interval;
    told_next_ = filled_end_ - view_.ring.capacity();
}

// ---- The ingress -------------------------------------------------------------------------------

bool JournalSide::take(Arrival& arrival) {
    Lease lease;
    take_cursor_.steps_left = view_.ingress.capacity() + 64;
    if (view_.ingress.read(take_cursor_, lease) == TakeStatus::empty) return false;
    const std::uint64_t position = lease.sequence;
    SlotHeader& slot = view_.ingress.slot(position);
    const std::uint32_t length = slot.length.load(memory_order_relaxed);
    arrival.position = position;
    arrival.timestamp = slot.timestamp.load(memory_order_relaxed);
    arrival.damaged = false;
    const BlockHandle block = view_.block_at(view_.ingress, position);
    if (!block.valid() && length <= view_.geometry->inline_bytes) {
        arrival.payload = {view_.ingress.payload(position), length};
        return true;
    }
    const std::byte* data = view_.pool.data(block);
    arrival.damaged = (length & ~length_mask) != 0 || data == nullptr ||
                      length > view_.pool.block_bytes(block.block);
    arrival.payload = {arrival.damaged ? nullptr : data, arrival.damaged ? 0 : length};
    return true;
}

bool JournalSide::arrived() const {
    return view_.ingress.ready_at(take_cursor_.next) ||
           view_.ingress.ready_beyond(take_cursor_.next);
}

void JournalSide::free_through(std::uint64_t position) {
    bool freed = false;
    if (after(position, free_next_ + view_.ingress.capacity())) {
        damaged_ = true;
        return;
    }
    for (; !after(free_next_, position); ++free_next_)
        freed = free_at(free_next_) || freed;
    view_.header->journal.ingress_head.store(free_next_, memory_order_release);
    if (freed) wake(view_.header->space, UINT32_MAX);
}

// What is not ready there was somebody's claim, which went another way.
bool JournalSide::free_at(std::uint64_t position) {
    const SlotWord ready = SlotWord::ready(view_.ingress.lap_of(position));
    if (view_.ingress.word_at(position) != ready) return false;
    const BlockHandle block = view_.block_at(view_.ingress, position);
    if (!view_.ingress.change(position, ready, ready.freed())) {
        damaged_ = true;  // nobody else may touch a ready slot here
        return false;
    }
    if (block.valid()) view_.pool.free(block);
    return true;
}

std::uint64_t JournalSide::count() const {
    std::uint64_t count = 0;
    for (std::uint64_t index = 0; index < view_.ingress.capacity(); ++index)
        count += view_.ingress.word_at(index).state() == SlotState::ready ? 1u : 0u;
    return count;
}

// ---- The front ring ----------------------------------------------------------------------------

RefillStatus JournalSide::refill(const Refill& message) {
    const std::uint64_t length = message.payload.size();
    if (!fits(*view_.geometry, message)) return RefillStatus::too_large;
    BlockHandle block;
    if ((message.marks & length_history) != 0 || length > view_.geometry->inline_bytes) {
        block = view_.pool.allocate(length, 0, block_cursors_);
        std::byte* data = block.valid() ? view_.pool.data(block) : nullptr;
        if (data == nullptr) return RefillStatus::full;
        std::memcpy(data, message.payload.data(), length);
    }
    front_cursor_.steps_left = steps_most(view_.ring);
    for (int round = 0; round < rounds_most; ++round) {
        std::uint64_t position = 0;
        if (view_.ring.claim(front_cursor_, 0, position) != ClaimStatus::claimed) break;
        note(message, position);
        if (!fill(message, position, block)) {
            undo_claim(position);
            continue;
        }
        filled_end_ = later(filled_end_, position + 1);
        if (after(told_next_, position)) told_next_ = position;  // it began at a guess
        if (block.valid()) view_.pool.hand_over(block, 0);
        move_on(message);
        clear_note();
        wake(view_.header->items, 1);
        return RefillStatus::done;
    }
    if (block.valid()) view_.pool.free(block);
    return RefillStatus::full;
}

// False: the claim was skipped.
bool JournalSide::fill(const Refill& message, std::uint64_t position, BlockHandle block) {
    SlotHeader& slot = view_.ring.slot(position);
    slot.sequence.store(position, memory_order_relaxed);
    const auto bytes = static_cast<std::uint32_t>(message.payload.size());
    slot.length.store(message.moved ? message.length | message.marks : bytes, memory_order_relaxed);
    slot.flags.store(0, memory_order_relaxed);
    slot.timestamp.store(message.timestamp, memory_order_relaxed);
    std::byte* payload = payload_of(slot);
    if (block.valid()) {
        auto& reference = *reinterpret_cast<BlockReference*>(payload);
        reference.block.store(block.block, memory_order_relaxed);
        reference.generation.store(block.generation, memory_order_relaxed);
    } else if (!message.payload.empty()) {
        std::memcpy(payload, message.payload.data(), message.payload.size());
    }
    const std::uint64_t index = view_.ring.index_of(position);
    const std::uint64_t lap = view_.ring.lap_of(position);
    if (view_.lsns != nullptr) {
        const std::uint64_t gone = view_.lsns[index].exchange(message.lsn, memory_order_relaxed);
        if (gone != 0) displaced_.push_back(gone);
    }
    const SlotWord claimed = SlotWord::make(lap, 0, 0, SlotState::writing);
    if (message.deliveries == 0)
        return view_.ring.change(position, claimed, SlotWord::ready(lap));  // [1]
    // It goes where returned messages go, so that it comes marked.
    constexpr std::uint8_t tag = 1;
    const Attempts attempts{lap & lap_mask,
                            std::min(message.deliveries, limits::deliveries_counted_max),
                            std::min(message.failures, limits::deliveries_counted_max), tag};
    view_.attempts[index].store(attempts.pack(), memory_order_relaxed);
    const SlotWord returned = SlotWord::make(lap, tag, 0, SlotState::returned);
    if (!view_.set_cell(position, tag, [&] { return view_.ring.word_at(position) == claimed; }) ||
        !view_.ring.change(position, claimed, returned)) {
        return false;
    }
    view_.map.announce();
    return true;
}

// What was never published is nobody's message, and must not pass for one that is gone; nor, once
// its slot is free, the note for that of one that was published. A successor sees to what is left.
void JournalSide::undo_claim(std::uint64_t position) {
    if (view_.lsns != nullptr) {
        view_.lsns[view_.ring.index_of(position)].store(0, memory_order_release);
    }
    clear_note();
    view_.ring.abandon(position, 0);
}

void JournalSide::take_gone(std::vector<std::uint64_t>& lsns) {
    lsns.insert(lsns.end(), displaced_.begin(), displaced_.end());
    displaced_.clear();
    if (view_.lsns == nullptr) return;
    bool all = true;
    told_next_ = later(told_next_, filled_end_ - view_.ring.capacity());
    for (std::uint64_t position = told_next_; after(filled_end_, position); ++position) {
        const std::uint64_t index = view_.ring.index_of(position);
        const std::uint64_t lsn = view_.lsns[index].load(memory_order_relaxed);
        const bool gone = lsn != 0 && view_.ring.word_at(index).state() == SlotState::free;
        if (gone) {
            view_.lsns[index].store(0, memory_order_relaxed);
            lsns.push_back(lsn);
        }
        all = all && (lsn == 0 || gone);
        if (all) told_next_ = position + 1;
    }
}

std::vector<std::uint64_t> JournalSide::in_front() const {
    std::vector<std::uint64_t> there;
    if (view_.lsns == nullptr) return there;
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const std::uint64_t lsn = view_.lsns[index].load(memory_order_relaxed);
        if (lsn != 0 && view_.ring.word_at(index).state() != SlotState::free) there.push_back(lsn);
    }
    return there;
}

void JournalSide::note(const Refill& message, std::uint64_t position) {
    JournalArea& area = view_.header->journal;
    area.note_source.store(message.from, memory_order_relaxed);
    area.note_kind.store(static_cast<std::uint32_t>(message.source), memory_order_relaxed);
    area.note_front.store(position + 1, memory_order_release);
}

void JournalSide::clear_note() {
    view_.header->journal.note_front.store(0, memory_order_release);
}

void JournalSide::move_on(const Refill& message) {
    if (message.source == RefillSource::log) {
        skip_to(message.from + 1);
    } else {
        free_through(message.from);
    }
}

// ---- The gate ----------------------------------------------------------------------------------

bool JournalSide::try_direct() {
    SegmentHeader& header = *view_.header;
    GateWord gate = look_at_gate(header);
    if (gate.state() == GateState::direct) return true;
    if (gate.state() == GateState::journal) {
        if (!change_gate(header, gate, GateState::closing)) return false;
        gate = gate.to(GateState::closing);
    }
    // Behind all that was taken, and past claims that came to nothing.
    Lease lease;
    Cursor look = take_cursor_;
    bool empty = view_.ingress.read(look, lease) == TakeStatus::empty;
    const std::uint64_t position = look.next;
    const SlotWord ours = SlotWord::closed(view_.ingress.lap_of(position), gate.mark());
    if (empty) {
        take_cursor_.next = position;
        // A slot closed at an earlier closing is marked anew, too: who saw the gate called back in
        // between could still open one with the old mark.
        const SlotWord word = view_.ingress.word_at(position);
        const bool free = word == SlotWord::free(view_.ingress.lap_of(position));
        empty = word == ours ||
                ((free || (word.state() == SlotState::closed && word.lap() == ours.lap())) &&
                 view_.ingress.change(position, word, ours));
    }
    if (!empty) {
        change_gate(header, gate, GateState::journal);
        return false;
    }
    return change_gate(header, gate, GateState::direct);
}

// ---- Sleeping and confirms ---------------------------------------------------------------------

void JournalSide::listen(bool on) {
    view_.header->journal.listening.store(on ? 1 : 0, memory_order_seq_cst);
    atomic_fence(memory_order_seq_cst);
}

void JournalSide::want_room(bool on) {
    view_.header->journal.wants_room.store(on ? 1 : 0, memory_order_seq_cst);
    atomic_fence(memory_order_seq_cst);
}

void JournalSide::tell_room(bool there) {
    const std::uint32_t none = there ? 0 : 1;
    if (view_.header->journal.no_room.exchange(none, memory_order_seq_cst) < none)
        wake_all(view_.header->space);
}

void JournalSide::confirm(std::uint64_t logged, std::uint64_t durable) {
    JournalArea& area = view_.header->journal;
    area.logged.store(logged, memory_order_release);    // [13]
    area.durable.store(durable, memory_order_seq_cst);  // [13]
    atomic_fence(memory_order_seq_cst);
    wake(area.confirms, UINT32_MAX);
}

// ---- After a predecessor -----------------------------------------------------------------------

void JournalSide::recover() {
    JournalArea& area = view_.header->journal;
    const std::uint64_t noted = area.note_front.load(memory_order_acquire);
    if (noted == 0) return;
    // A supervisor makes one claim at a time: where there is none of it, it has published.
    const SlotWord word = view_.ring.word_at(noted - 1);
    const bool pending = word.owner() == 0 &&
                         (word.state() == SlotState::writing || word.state() == SlotState::skipped);
    const std::uint64_t from = area.note_source.load(memory_order_relaxed);
    const auto source = static_cast<RefillSource>(area.note_kind.load(memory_order_relaxed));
    if (pending && view_.lsns != nullptr) {
        view_.lsns[view_.ring.index_of(noted - 1)].store(0, memory_order_release);
    } else if (!pending && source == RefillSource::log) {
        if (refilled() == from) skip_to(from + 1);
    } else if (!pending && source == RefillSource::ingress) {
        free_through(from);
    }
    clear_note();
    take_cursor_.next = later(take_cursor_.next, free_next_);
}

}  // namespace shmq::shm

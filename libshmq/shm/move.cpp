#include "shm/move.hpp"

#include <cstring>

#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

constexpr std::uint8_t tag_moved = 1;

// Once round the ring and back suffices where peers are sound.
std::uint64_t steps_for(std::uint64_t capacity) {
    return 8 * capacity + 64;
}

}  // namespace

CountJournal::Drop count_of(DeadReason reason) {
    using Drop = CountJournal::Drop;
    switch (reason) {
        case DeadReason::rejected:
            return Drop::dead_rejected;
        case DeadReason::expired:
            return Drop::dead_expired;
        case DeadReason::crashed:
            return Drop::dead_crashed;
        case DeadReason::limit:
            break;
    }
    return Drop::dead_limit;
}

MoveStatus Move::run(std::uint64_t sequence, const DeadLetterRecord* history,
                     CountJournal::Drop count_as) {
    Content content;
    std::uint32_t marks = 0;
    const bool redriven = count_as == CountJournal::Drop::redriven;
    if (const auto status = look(sequence, history, redriven, content, marks);
        status != MoveStatus::moved) {
        return status;
    }
    BlockHandle block;
    if (history != nullptr || content.length > target_.segment_.geometry().inline_bytes) {
        block = fill_block(content, history);
        if (!block.valid()) return MoveStatus::full;
    }
    std::uint64_t position = 0;
    if (!claim_and_hold(sequence, content, content.length | marks, block, position)) {
        if (block.valid()) target_.view_.pool.free(block);
        return MoveStatus::full;
    }
    const Unfinished move{.index = target_.view_.ring.index_of(position), .sequence = position};
    const bool committed = source_.leave(sequence, count_as);
    target_.settle(move, !committed);
    return committed ? MoveStatus::moved : MoveStatus::gone;
}

// Whether the message can be read, and the target can hold it; what of its history goes along.
MoveStatus Move::look(std::uint64_t sequence, const DeadLetterRecord*& history, bool redriven,
                      Content& content, std::uint32_t& marks) {
    const std::uint64_t index = source_.view_.ring.index_of(sequence);
    const auto word = source_.find(sequence);
    if (!word || word->state() != SlotState::leased || word->owner() != 0) return MoveStatus::gone;
    if (!read_content(index, content)) {
        source_.drop(index, *word, sequence, CountJournal::Drop::damaged);
        return MoveStatus::damaged;
    }
    content.deliveries = source_.view_.attempts_of(sequence).deliveries;
    if (target_.view_.header->items.closed.load(memory_order_relaxed) != 0) {
        return MoveStatus::closed;
    }
    if (history != nullptr && !target_takes(bytes_with_history(content.length))) history = nullptr;
    const bool in_slot =
        history == nullptr && content.length <= target_.segment_.geometry().inline_bytes;
    if (!in_slot && !target_takes(content.length)) return MoveStatus::too_large;
    if (history != nullptr) marks |= length_history;
    if (history == nullptr && redriven) marks |= length_redriven;
    return MoveStatus::moved;
}

MoveStatus Move::pack(std::uint64_t sequence, const DeadLetterRecord* history, bool redriven,
                      Packed& packed) {
    Content content;
    packed.marks = 0;
    const MoveStatus status = look(sequence, history, redriven, content, packed.marks);
    if (status != MoveStatus::moved) return status;
    packed.length = content.length;
    packed.timestamp = content.timestamp;
    packed.deliveries = content.deliveries;
    const std::uint64_t bytes =
        history != nullptr ? bytes_with_history(content.length) : content.length;
    packed.bytes.assign(bytes, std::byte{});
    if (content.length != 0) std::memcpy(packed.bytes.data(), content.payload, content.length);
    if (history != nullptr) {
        std::memcpy(packed.bytes.data() + history_offset(content.length), history, sizeof *history);
    }
    return MoveStatus::moved;
}

std::string Move::take(std::uint64_t sequence, bool unread_is_ours) {
    std::string why_not;
    source_.take_waiting(sequence, unread_is_ours, why_not);
    return why_not;
}

void Move::put_back(std::uint64_t sequence) {
    const auto word = source_.find(sequence);
    if (!word || word->state() != SlotState::leased || word->owner() != 0) return;
    source_.return_slot(source_.view_.ring.index_of(sequence), *word, sequence);
    source_.view_.map.announce();
    wake(source_.view_.header->items, 1);
}

// The slot's bytes are a peer's: each is read once, and believed as far as it stays inside.
bool Move::read_content(std::uint64_t index, Content& content) const {
    const QueueView& view = source_.view_;
    const SlotHeader& slot = view.ring.slot(index);
    content.length = view.length_at(index);
    content.timestamp = slot.timestamp.load(memory_order_relaxed);
    const BlockHandle block = view.block_at(index);
    if (!block.valid()) {
        content.payload = view.ring.payload(index);
        return content.length <= view.geometry->inline_bytes;
    }
    content.payload = view.pool.data(block);
    return content.payload != nullptr && content.length <= view.pool.block_bytes(block.block);
}

bool Move::target_takes(std::uint64_t bytes) const {
    const Geometry& geometry = target_.segment_.geometry();
    return geometry.class_count != 0 && target_.segment_.pool_base() != nullptr &&
           bytes <= geometry.classes[geometry.class_count - 1].block_bytes;
}

BlockHandle Move::fill_block(const Content& content, const DeadLetterRecord* history) {
    BlockPool::Cursors cursors;
    const std::uint64_t bytes =
        history != nullptr ? bytes_with_history(content.length) : content.length;
    const BlockHandle block = target_.view_.pool.allocate(bytes, 0, cursors);
    if (!block.valid()) return block;
    std::byte* data = target_.view_.pool.data(block);
    std::memcpy(data, content.payload, content.length);
    if (history != nullptr) {
        std::memcpy(data + history_offset(content.length), history, sizeof *history);
    }
    return block;
}

// free -> writing(0), filled and marked -> leased(0). Again where the claim was skipped meanwhile.
bool Move::claim_and_hold(std::uint64_t sequence, const Content& content, std::uint32_t length_word,
                          BlockHandle block, std::uint64_t& position) {
    QueueView& view = target_.view_;
    Cursor cursor;
    cursor.next = view.header->tail.load(memory_order_relaxed);
    cursor.steps_left = steps_for(view.ring.capacity());
    for (int round = 0; round < Supervise::rounds_most; ++round) {
        if (view.ring.claim(cursor, 0, position) == ClaimStatus::full) return false;
        SlotHeader& slot = view.ring.slot(position);
        slot.sequence.store(position, memory_order_relaxed);
        slot.length.store(length_word, memory_order_relaxed);
        slot.flags.store(0, memory_order_relaxed);
        slot.timestamp.store(content.timestamp, memory_order_relaxed);
        std::byte* payload = view.ring.payload(position);
        if (block.valid()) {
            auto& reference = *reinterpret_cast<BlockReference*>(payload);
            reference.block.store(block.block, memory_order_relaxed);
            reference.generation.store(block.generation, memory_order_relaxed);
        } else {
            std::memcpy(payload, content.payload, content.length);
        }
        mark(sequence, position, content.deliveries);
        const std::uint64_t lap = view.ring.lap_of(position);
        if (view.ring.change(position, SlotWord::make(lap, 0, 0, SlotState::writing),
                             SlotWord::make(lap, tag_moved, 0, SlotState::leased))) {
            if (block.valid()) view.pool.hand_over(block, 0);
            return true;
        }
        view.ring.abandon(position, 0);
    }
    return false;
}

// Where it comes from, that it does, and how often it was delivered there. Words beside a slot are
// changed by CAS: somebody whose lease ended long ago may still be writing his.
void Move::mark(std::uint64_t sequence, std::uint64_t position, std::uint32_t deliveries) {
    QueueView& view = target_.view_;
    MoveMark& from = view.header->incoming;
    std::uint64_t identity[2];
    std::memcpy(identity, source_.segment_.identity(), sizeof identity);
    from.source_identity[0].store(identity[0], memory_order_relaxed);
    from.source_identity[1].store(identity[1], memory_order_relaxed);
    from.source_sequence.store(sequence, memory_order_relaxed);
    from.position.store(position, memory_order_release);
    const std::uint64_t index = view.ring.index_of(position);
    const std::uint64_t lap = view.ring.lap_of(position);
    const Note note{lap, tag_moved, NoteKind::moving, 0};
    const Attempts attempts{lap & lap_mask, deliveries == 0 ? 1 : deliveries, 0, tag_moved};
    for (int round = 0; round < Supervise::rounds_most; ++round) {
        const std::uint64_t present = view.notes[index].load(memory_order_acquire);
        if (view.write_note(index, present, note)) break;
    }
    for (int round = 0; round < Supervise::rounds_most; ++round) {
        std::uint64_t present = view.attempts[index].load(memory_order_acquire);
        if (view.attempts[index].compare_exchange_strong(
                present, attempts.pack(), memory_order_acq_rel, memory_order_acquire)) {
            break;
        }
    }
}

// ---- After a predecessor's death ---------------------------------------------------------------

std::vector<Unfinished> Supervise::unfinished() {
    std::vector<Unfinished> found;
    if (segment_.untouched()) return found;
    const MoveMark& mark = view_.header->incoming;
    const std::uint64_t position = mark.position.load(memory_order_acquire);
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        if (word.state() != SlotState::leased || word.owner() != 0) continue;
        bool sound = true;
        Unfinished move{.index = index, .sequence = sequence_at(index, word, sound)};
        if (note_of(index, word, move.sequence).kind != NoteKind::moving) continue;
        // Of two, the older one's mark was written over: nobody can tell where it came from.
        move.source_known = position == move.sequence;
        const std::uint64_t identity[2] = {mark.source_identity[0].load(memory_order_relaxed),
                                           mark.source_identity[1].load(memory_order_relaxed)};
        std::memcpy(move.source_identity, identity, sizeof identity);
        move.source_sequence = mark.source_sequence.load(memory_order_relaxed);
        found.push_back(move);
    }
    return found;
}

void Supervise::settle(const Unfinished& move, bool source_has_it) {
    const auto word = find(move.sequence);
    if (!word || word->state() != SlotState::leased || word->owner() != 0) {
        damaged_ = true;
        return;
    }
    if (source_has_it) {
        free_slot(move.index, *word);
        return;
    }
    CountJournal::begin_drop(view_, CountJournal::Drop::moved_in, move.sequence);
    const bool returned = return_slot(move.index, *word, move.sequence);
    CountJournal::end_drop(view_, CountJournal::Drop::moved_in, returned);
    if (!returned) return;
    // From here on it is a message of this queue, however often it comes into our hands.
    const std::uint64_t present = view_.notes[move.index].load(memory_order_acquire);
    const Note note = Note::unpack(present);
    if (note.kind == NoteKind::moving && note.tag == word->tag()) {
        view_.write_note(move.index, present, {});
    }
    view_.map.announce();
    wake(view_.header->items, 1);
}

}  // namespace shmq::shm

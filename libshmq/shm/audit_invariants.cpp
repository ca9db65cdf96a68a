// audit(): every invariant of a queue, proven by one walk.
#include <map>
#include <optional>

#include "shm/audit.hpp"

namespace shmq::shm {
namespace {

const char* state_name(SlotState state) {
    switch (state) {
        case SlotState::free:
            return "free";
        case SlotState::writing:
            return "writing";
        case SlotState::skipped:
            return "skipped";
        case SlotState::ready:
            return "ready";
        case SlotState::leased:
            return "leased";
        case SlotState::returned:
            return "returned";
        case SlotState::closed:
            return "closed";
    }
    return "unknown";
}

class Auditor {
  public:
    Auditor(const Segment& segment, bool quiescent)
        : view_(segment.ring_base(), segment.pool_base(), segment.geometry()),
          quiescent_(quiescent) {}

    std::vector<std::string> run() {
        for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index)
            check_slot(index);
        check_order();
        if (view_.has_journal()) check_ingress();
        if (quiescent_) check_blocks();
        return std::move(found_);
    }

  private:
    void fail(std::uint64_t index, SlotWord word, const std::string& what) {
        found_.push_back("slot " + std::to_string(index) + " {lap " + std::to_string(word.lap()) +
                         ", tag " + std::to_string(word.tag()) + ", owner " +
                         std::to_string(word.owner()) + ", " + state_name(word.state()) +
                         "}: " + what);
    }

    void check_slot(std::uint64_t index) {
        const SlotWord word = view_.ring.word_at(index);
        check_owner(index, word);
        switch (word.state()) {
            case SlotState::free:
                if (word.owner() != 0 || word.tag() != 0) fail(index, word, "free but marked");
                note_free(index, word);
                return;
            case SlotState::writing:
            case SlotState::skipped:
                if (quiescent_) fail(index, word, "an unfinished claim although nobody is at work");
                break;
            case SlotState::ready:
            case SlotState::leased:
            case SlotState::returned:
                check_message(index, word);
                break;
            default:
                fail(index, word, "no such state");
                return;
        }
        note_busy(index, word);
    }

    void check_owner(std::uint64_t index, SlotWord word) {
        const bool may_own = word.state() == SlotState::writing ||
                             word.state() == SlotState::skipped ||
                             word.state() == SlotState::leased;
        if (word.owner() == 0) {
            // A claim of 0 is the supervisor's, for a message that it moves to here. What it delays
            // or holds may stay leased(0).
            if (quiescent_ && word.state() == SlotState::leased &&
                !waits_for_its_time(index, word)) {
                fail(index, word, "waits for a decision although nobody is at work");
            }
            return;
        }
        if (!may_own) {
            fail(index, word, "has an owner");
            return;
        }
        if (word.owner() >= view_.geometry->shape.participants) {
            fail(index, word, "owner out of bounds");
            return;
        }
        const auto state = static_cast<ParticipantState>(
            view_.participants[word.owner()].state.load(memory_order_acquire));
        if (state == ParticipantState::vacant) fail(index, word, "owned by a number not in use");
    }

    bool waits_for_its_time(std::uint64_t index, SlotWord word) const {
        const Note note = Note::unpack(view_.notes[index].load(memory_order_acquire));
        const std::uint64_t sequence = view_.ring.slot(index).sequence.load(memory_order_relaxed);
        return note.kind == NoteKind::delayed &&
               note.speaks_of(view_.ring.lap_of(sequence), word.tag());
    }

    // Content of a slot that holds a message; looked at again if the word moved meanwhile.
    void check_message(std::uint64_t index, SlotWord word) {
        const std::uint64_t sequence = view_.ring.slot(index).sequence.load(memory_order_relaxed);
        const std::uint32_t length = view_.length_at(index);
        const BlockHandle block = view_.block_at(index);
        const std::uint64_t cell = view_.map.cell(index);
        if (view_.ring.word_at(index) != word) return;
        const std::int64_t passed =
            lap_difference(word.lap(), view_.ring.lap_of(sequence) & lap_mask);
        if (view_.ring.index_of(sequence) != index || passed < 0) {
            fail(index, word, "sequence " + std::to_string(sequence) + " is not this slot's");
        }
        if (word.state() == SlotState::ready && passed != 0) {
            fail(index, word, "ready, but passed over");
        }
        if (length > view_.geometry->shape.max_message) {
            fail(index, word, "length " + std::to_string(length) + " above max_message");
        }
        if (word.state() == SlotState::returned &&
            !cell_means(cell, view_.ring.lap_of(sequence), word.tag())) {
            fail(index, word, "returned, but its cell does not say so");
        }
        if (block.valid()) check_reference(index, word, block, length);
    }

    void check_reference(std::uint64_t index, SlotWord word, BlockHandle block,
                         std::uint32_t length) {
        if (block.block >= view_.pool.count()) {
            fail(index, word, "refers to block " + std::to_string(block.block) + " out of bounds");
            return;
        }
        const BlockWord held = view_.pool.word(block.block);
        if (view_.ring.word_at(index) != word) return;
        if (held.state() == BlockState::free || held.generation() != block.generation) {
            fail(index, word, "refers to a block that was freed");
        }
        if (length > view_.pool.block_bytes(block.block)) {
            fail(index, word, "is longer than its block");
        }
        const auto [place, fresh] = referrer_.emplace(block.block, index);
        if (!fresh && place->second != index) {
            fail(index, word, "shares a block with slot " + std::to_string(place->second));
        }
    }

    // What is there waits for the supervisor; when the gate is direct, there is nothing.
    void check_ingress() {
        const bool direct = gate_is_direct(*view_.header);
        for (std::uint64_t index = 0; index < view_.ingress.capacity(); ++index) {
            const SlotWord word = view_.ingress.word_at(index);
            const SlotState state = word.state();
            const bool claim = state == SlotState::writing || state == SlotState::skipped;
            if (state == SlotState::ready) {
                check_arrival(index, word);
                if (direct && quiescent_) fail(index, word, "in the ingress, past the gate");
            } else if (claim && quiescent_) {
                fail(index, word, "an unfinished claim of the ingress although nobody is at work");
            } else if (state != SlotState::free && state != SlotState::closed && !claim) {
                fail(index, word, "a state that does not belong into the ingress");
            }
        }
    }
    void check_arrival(std::uint64_t index, SlotWord word) {
        const std::uint64_t sequence =
            view_.ingress.slot(index).sequence.load(memory_order_relaxed);
        const BlockHandle block = view_.block_at(view_.ingress, index);
        if (view_.ingress.word_at(index) != word) return;
        if (view_.ingress.index_of(sequence) != index ||
            (view_.ingress.lap_of(sequence) & lap_mask) != word.lap()) {
            fail(index, word, "sequence " + std::to_string(sequence) + " is not this slot's");
        }
        if (!block.valid()) return;
        if (block.block >= view_.pool.count() ||
            (quiescent_ && view_.pool.word(block.block).generation() != block.generation)) {
            fail(index, word, "refers to no block, or to one that was freed");
        } else {
            referrer_.emplace(block.block, view_.ring.capacity() + index);
        }
    }

    std::uint64_t position_of(std::uint64_t index, SlotWord word) const {
        return (word.lap() << view_.geometry->capacity_log2) + index;
    }
    // Positions in the ring wrap at lap 2^36; their differences are small.
    std::int64_t distance(std::uint64_t a, std::uint64_t b) const {
        const unsigned unused = 64 - lap_bits - view_.geometry->capacity_log2;
        return static_cast<std::int64_t>((a - b) << unused) >> unused;
    }
    void note_free(std::uint64_t index, SlotWord word) {
        const std::uint64_t position = position_of(index, word);
        if (!first_free_ || distance(position, *first_free_) < 0) first_free_ = position;
    }
    void note_busy(std::uint64_t index, SlotWord word) {
        const std::uint64_t position = position_of(index, word);
        if (!last_busy_ || distance(position, *last_busy_) > 0) last_busy_ = position;
        if (word.state() != SlotState::ready || view_.ring.word_at(index) != word) return;
        const std::uint64_t head = view_.header->head.load(memory_order_relaxed);
        if (view_.ring.word_at(index) == word && distance(head, position) > 0) {
            fail(index, word, "ready before the head hint " + std::to_string(head));
        }
    }

    // No free slot is left behind at a position that producers have passed. Only with nobody at
    // work: the walk is not one instant.
    void check_order() {
        if (!quiescent_ || !first_free_ || !last_busy_) return;
        if (distance(*first_free_, *last_busy_) < 0) {
            found_.push_back("position " + std::to_string(*first_free_) +
                             " is free although position " + std::to_string(*last_busy_) +
                             " was claimed");
        }
    }

    void check_blocks() {
        for (std::uint64_t block = 0; block < view_.pool.count(); ++block) {
            const BlockWord word = view_.pool.word(block);
            const bool referred = referrer_.contains(block);
            const std::string name = "block " + std::to_string(block);
            if (word.state() == BlockState::in_slot && !referred) {
                found_.push_back(name + " is in_slot, but no slot refers to it");
            } else if (word.state() == BlockState::loaned &&
                       (word.owner() == 0 || word.owner() >= view_.geometry->shape.participants ||
                        static_cast<ParticipantState>(view_.participants[word.owner()].state.load(
                            memory_order_acquire)) == ParticipantState::vacant)) {
                found_.push_back(name + " is loaned to a number not in use");
            } else if (word.state() != BlockState::free && word.state() != BlockState::loaned &&
                       word.state() != BlockState::in_slot) {
                found_.push_back(name + " has no such state");
            }
        }
    }

    QueueView view_;
    bool quiescent_;
    std::vector<std::string> found_;
    std::map<std::uint64_t, std::uint64_t> referrer_;  // slot by block
    std::optional<std::uint64_t> first_free_;
    std::optional<std::uint64_t> last_busy_;
};

}  // namespace

std::vector<std::string> audit(const Segment& segment, bool quiescent) {
    return Auditor(segment, quiescent).run();
}

}  // namespace shmq::shm

// What is seen and judged at each step of a run.
#include <cstdio>
#include <cstring>

#include "schedule/rig.hpp"
#include "shm/audit.hpp"

namespace shmq::schedule {
namespace {

using shm::SlotState;
using shm::SlotWord;

// Parts of the segment where it makes no difference who comes first: counters with one writer, and
// header fields that only a slot's owner touches.
bool is_counter(std::uint64_t offset, const shm::Geometry& geometry) {
    if (offset >= geometry.participants_offset && offset < geometry.returned_offset) {
        const std::uint64_t field = (offset - geometry.participants_offset) & 255;
        // What is being dropped is noted there, and a supervisor reads it.
        return field >= offsetof(shm::ParticipantRecord, purged) &&
               field != offsetof(shm::ParticipantRecord, dropped);
    }
    if (offset >= geometry.slots_offset) {
        const std::uint64_t field =
            (offset - geometry.slots_offset) & (geometry.shape.slot_size - 1);
        return field >= offsetof(shm::SlotHeader, length) && field < sizeof(shm::SlotHeader);
    }
    return offset >= offsetof(shm::SegmentHeader, totals) && offset < sizeof(shm::SegmentHeader);
}

std::string word_text(std::uint64_t raw) {
    static const char* const states[] = {
        "free", "writing", "skipped", "ready", "leased", "returned", "?", "?",
        "?",    "?",       "?",       "?",     "?",      "?",        "?", "?"};
    const SlotWord word{raw};
    char text[80];
    std::snprintf(
        text, sizeof text, "%s{lap %lld, tag %u, owner %u}", states[static_cast<int>(word.state())],
        static_cast<long long>(shm::lap_difference(word.lap(), 0)), word.tag(), word.owner());
    return text;
}

const char* access_text(Access access) {
    static const char* const texts[] = {"reads", "stores",   "changes",
                                        "swaps", "fails at", "fences"};
    return texts[static_cast<std::size_t>(access)];
}

}  // namespace

bool Rig::matters(const void* address) const {
    if (address == nullptr) return true;
    const auto offset =
        static_cast<std::uint64_t>(static_cast<const std::byte*>(address) - segment_->ring_base());
    return !is_counter(offset, segment_->geometry());
}

void Rig::require(const std::string& breach) {
    if (!breach.empty()) scheduler_->fail(breach);
}

void Rig::on_death(Task& task) {
    Party& party = *party_of_task_[task.number];
    if (party.actor.part == Part::supervisor) {
        supervisor_died_ = true;
        for (std::uint64_t index = 0; index < scenario_.capacity; ++index) {
            const SlotWord word{view_.ring.slot(index).word.load()};
            decided_by_dead_[index] = word.state() == SlotState::leased && word.owner() == 0;
        }
        return;
    }
    party.dead = true;
    work_ = true;
}

void Rig::after_step(const Task& task, const Step& step) {
    const auto& geometry = segment_->geometry();
    const auto offset = static_cast<std::uint64_t>(static_cast<const std::byte*>(step.address) -
                                                   segment_->ring_base());
    Party& party = *party_of_task_[task.number];
    const std::uint64_t slots_end =
        scenario_.journal() ? geometry.ingress_offset : geometry.segment_bytes;
    if (offset >= slots_end && offset < geometry.segment_bytes) {
        if ((offset & (geometry.shape.slot_size - 1)) == 0) watch_ingress(party, step);
    } else if (offset == offsetof(shm::SegmentHeader, gate)) {
        watch_gate(party, step);
    } else if (offset >= geometry.slots_offset && offset < slots_end) {
        const std::uint64_t within = offset - geometry.slots_offset;
        if ((within & (geometry.shape.slot_size - 1)) == 0) {
            watch_word(party, step, within >> geometry.slot_size_log2);
        }
    } else if (offset >= geometry.blocks_offset && offset < geometry.slots_offset) {
        if (step.access == Access::swapped && party.actor.part == Part::producer &&
            shm::BlockWord{step.before}.state() == shm::BlockState::in_slot && !party.actor.drops) {
            reached(Race::block_freed_at_relook);
        }
        if (step.access == Access::refused && party.actor.part == Part::producer &&
            shm::BlockWord{step.before}.state() == shm::BlockState::loaned &&
            shm::BlockWord{step.after}.generation() != shm::BlockWord{step.before}.generation()) {
            reached(Race::hand_over_too_late);
        }
    } else if (offset >= geometry.returned_offset && offset < geometry.notes_offset) {
        watch_cell(party, step, offset);
    } else if (offset == offsetof(shm::SegmentHeader, items) ||
               offset == offsetof(shm::SegmentHeader, space)) {
        if (step.access == Access::modified) party.registered = true;
        if (step.access == Access::swapped) {
            for (const auto& other : parties_) {
                if (other->registered && !party.registered) reached(Race::struck_off);
            }
            party.registered = false;
        }
    }
    if (step.access != Access::load && scheduler_->steps() % audit_every_ == 0) check_audit(false);
}

void Rig::check_audit(bool quiescent) {
    const auto violations = shm::audit(*segment_, quiescent);
    if (!violations.empty()) require("audit: " + violations.front());
}

// ---- Slots -------------------------------------------------------------------------------------

void Rig::watch_word(Party& party, const Step& step, std::uint64_t index) {
    const SlotWord from{step.before};
    const SlotWord to{step.after};
    if (step.access == Access::refused) return watch_refusal(party, index, from, to);
    if (step.access == Access::load) {
        if (party.looked_at_cell != 0 && party.looked_at_index == index &&
            to.state() == SlotState::leased && to.tag() == shm::cell_tag(party.looked_at_cell)) {
            reached(Race::leased_cell_passed);
        }
        return;
    }
    const auto row = classify(party.actor, from, to);
    if (!row) {
        return require("slot " + std::to_string(index) + ": " + word_text(from.raw) + " -> " +
                       word_text(to.raw) + " is in no row of the table");
    }
    reached(*row);
    watch_change(party, index, from, to, *row);
}

void Rig::watch_change(Party& party, std::uint64_t index, SlotWord from, SlotWord to, Row row) {
    if (to.state() == SlotState::ready) {
        const auto id = id_in_slot(index);
        if (!id) return require("published without its content");
        in_slot_[index] = *id;
        return require(books_.published(*id, view_.ring.slot(index).sequence.load()));
    }
    if (row == Row::take || row == Row::take_to_drop) check_oldest(index);
    if (row == Row::hold_moved) in_slot_[index] = id_in_slot(index);
    if (row == Row::give_to_others && in_slot_[index]) {
        books_.relocated(*in_slot_[index], view_.ring.slot(index).sequence.load());
    }
    const auto elsewhere = [&](MessageId id) {
        for (std::uint64_t other = 0; other < scenario_.capacity; ++other) {
            if (other != index && in_slot_[other] == id) return true;
        }
        return false;
    };
    if (row == Row::redeliver && in_slot_[index] && elsewhere(*in_slot_[index])) {
        return require("a message was delivered while another copy of it was there");
    }
    const bool leased = row == Row::take || row == Row::take_to_drop || row == Row::redeliver;
    if (leased && in_slot_[index]) books_.leased(*in_slot_[index]);
    if (row == Row::undo_writing || row == Row::undo_skipped) {
        if (row == Row::undo_skipped) reached(Race::claim_skipped_when_dead);
        bool gone = last_phase_;
        for (const auto& other : parties_) {
            gone |= other->actor.number == from.owner() && (other->dead || other->done);
        }
        if (!gone) require("the supervisor undid the claim of a living producer");
    }
    if (row == Row::give_to_others && decided_by_dead_[index]) {
        reached(Race::decision_taken_up);
        decided_by_dead_[index] = false;
    }
    const bool had_message = from.state() == SlotState::ready ||
                             from.state() == SlotState::leased ||
                             from.state() == SlotState::returned;
    if (to.state() != SlotState::free || !had_message) return;
    const auto id = in_slot_[index];
    in_slot_[index].reset();
    if (!id) return require("a slot without a message was freed as if it had one");
    // One end of a move: the other has it.
    if (party.actor.part == Part::supervisor && elsewhere(*id)) return;
    Gone why = Gone::acked;
    if (party.actor.part == Part::producer) why = Gone::dropped;
    if (party.actor.part == Part::supervisor) why = Gone::decided;
    if (scenario_.purges != 0 && party.actor.part == Part::consumer && row == Row::ack_by_store) {
        why = Gone::acked;
    }
    require(books_.freed(*id, why));
}

void Rig::watch_refusal(Party& party, std::uint64_t index, SlotWord wanted, SlotWord present) {
    const bool own = wanted.owner() == party.actor.number && party.actor.part != Part::supervisor;
    static_cast<void>(index);
    if (own && wanted.state() == SlotState::writing && present.state() == SlotState::skipped) {
        reached(Race::failed_publish);
    } else if (wanted.state() == SlotState::free) {
        reached(Race::lost_claim);
    } else if (wanted.state() == SlotState::ready) {
        reached(Race::lost_take);
    } else if (own && wanted.state() == SlotState::leased && present.same_lease(wanted)) {
        reached(Race::bump_during_hold);
    }
}

// Whoever takes a ready message takes the oldest: nothing ready lies before it.
void Rig::check_oldest(std::uint64_t index) {
    const std::uint64_t taken = view_.ring.slot(index).sequence.load();
    for (std::uint64_t other = 0; other < scenario_.capacity; ++other) {
        const SlotWord word{view_.ring.slot(other).word.load()};
        const std::uint64_t sequence = view_.ring.slot(other).sequence.load();
        if (word.state() == SlotState::ready && shm::after(taken, sequence)) {
            return require("position " + std::to_string(taken) + " was taken while " +
                           std::to_string(sequence) + " was ready");
        }
    }
}

std::optional<MessageId> Rig::id_in_slot(std::uint64_t index) const {
    const shm::BlockHandle block = view_.block_at(index);
    const std::byte* data = block.valid() ? view_.pool.data(block) : view_.ring.payload(index);
    if (data == nullptr) return {};
    MessageId id = 0;
    std::memcpy(&id, data, sizeof id);
    return id;
}

// ---- Cells and counts --------------------------------------------------------------------------

void Rig::watch_cell(Party& party, const Step& step, std::uint64_t offset) {
    const auto& geometry = segment_->geometry();
    if (offset >= geometry.attempts_offset) {
        if (step.access == Access::refused) reached(Race::late_count_refused);
        return;
    }
    const std::uint64_t index = (offset - geometry.returned_offset) / sizeof(shm::ReturnedCell);
    const bool looked = step.access == Access::load && shm::cell_set(step.after);
    party.looked_at_cell = looked ? step.after : 0;
    party.looked_at_index = index;
    if (step.access == Access::refused && party.actor.part == Part::consumer) {
        const SlotWord word{view_.ring.slot(index).word.load()};
        if (word.owner() != party.actor.number) reached(Race::late_cell_refused);
    }
    if (step.access == Access::swapped && !shm::cell_set(step.after)) {
        const SlotWord word{view_.ring.slot(index).word.load()};
        const bool taken_by_us =
            word.state() == SlotState::leased && word.owner() == party.actor.number &&
            word.tag() == static_cast<std::uint8_t>(shm::cell_tag(step.before) + 1);
        if (!taken_by_us) reached(Race::stale_cell_cleared);
    }
}

std::string Rig::describe(const Step& step) const {
    const auto& geometry = segment_->geometry();
    const auto offset = static_cast<std::uint64_t>(static_cast<const std::byte*>(step.address) -
                                                   segment_->ring_base());
    char text[256];
    const char* does = access_text(step.access);
    if (offset >= geometry.slots_offset && offset < geometry.segment_bytes) {
        const std::uint64_t within = offset - geometry.slots_offset;
        const auto slot = static_cast<unsigned long long>(within >> geometry.slot_size_log2);
        if ((within & (geometry.shape.slot_size - 1)) == 0) {
            std::snprintf(text, sizeof text, "%s slot %llu: %s -> %s", does, slot,
                          word_text(step.before).c_str(), word_text(step.after).c_str());
            return text;
        }
    }
    static const struct {
        const char* name;
        std::uint64_t shm::Geometry::*start;
    } parts[] = {{"slots", &shm::Geometry::slots_offset},
                 {"blocks", &shm::Geometry::blocks_offset},
                 {"notes", &shm::Geometry::notes_offset},
                 {"attempts", &shm::Geometry::attempts_offset},
                 {"cells", &shm::Geometry::returned_offset},
                 {"participants", &shm::Geometry::participants_offset}};
    const char* name = "header";
    std::uint64_t start = 0;
    for (const auto& part : parts) {
        if (offset < geometry.*part.start) continue;
        name = part.name;
        start = geometry.*part.start;
        break;
    }
    std::snprintf(text, sizeof text, "%s %s+%llu: %llx -> %llx", does, name,
                  static_cast<unsigned long long>(offset - start),
                  static_cast<unsigned long long>(step.before),
                  static_cast<unsigned long long>(step.after));
    return text;
}

}  // namespace shmq::schedule

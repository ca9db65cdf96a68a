// Slots in the supervisor's hands: how they come there, and what becomes of them. Every step is one
// change of a word; a successor that finds a slot leased(0) goes on from what note and counts say.
#include "shm/supervise.hpp"

namespace shmq::shm {
namespace {

constexpr std::uint64_t failure_lap_bits = 20;
constexpr unsigned failure_time_bits = 64 - failure_lap_bits;

}  // namespace

// The sequence of the message in a slot, by its header if that makes sense. If not, the word's own
// lap: wrong by the laps that the message was passed over, and the queue is marked damaged.
std::uint64_t Supervise::sequence_at(std::uint64_t index, SlotWord word, bool& sound) const {
    const std::uint64_t sequence = view_.ring.slot(index).sequence.load(memory_order_relaxed);
    const std::int64_t passed = lap_difference(word.lap(), view_.ring.lap_of(sequence) & lap_mask);
    sound = view_.ring.index_of(sequence) == index && passed >= 0;
    return sound ? sequence : (word.lap() << segment_.geometry().capacity_log2) + index;
}

// The word of the slot that holds the message of that sequence, if it is here.
std::optional<SlotWord> Supervise::find(std::uint64_t sequence) const {
    const std::uint64_t index = view_.ring.index_of(sequence);
    const SlotWord word = view_.ring.word_at(index);
    const bool message = word.state() == SlotState::ready || word.state() == SlotState::leased ||
                         word.state() == SlotState::returned;
    bool sound = true;
    if (!message || sequence_at(index, word, sound) != sequence) return std::nullopt;
    return word;
}

bool Supervise::has(std::uint64_t sequence) const {
    return find(sequence).has_value();
}

// What the holder of that lease said, if it said anything.
Note Supervise::note_of(std::uint64_t index, SlotWord word, std::uint64_t sequence) const {
    const Note note = Note::unpack(view_.notes[index].load(memory_order_acquire));  // [6]
    return note.speaks_of(view_.ring.lap_of(sequence), word.tag()) ? note : Note{};
}

// ---- Into our hands, and what then -------------------------------------------------------------

// leased (or ready and read) -> leased(0) under the next tag, counted; then delayed, returned, or
// doomed. The tag is another than its holder's: a note that the holder still leaves is not of this
// hold (docs/decisions/0020-take-over-raises-the-tag.md). No `cause`: that was no failure.
bool Supervise::take_back(std::uint64_t index, SlotWord word, const Cause* cause) {
    const SlotWord ours = word.leased_to(0);
    if (!view_.ring.change(index, word, ours)) return false;
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, ours, sound);
    if (!sound) damaged_ = true;
    count_lease(sequence, holders_tag(ours), cause != nullptr);
    if (cause != nullptr) {
        after_failure(index, ours, sequence, *cause);
    } else {
        return_slot(index, ours, sequence);
    }
    return true;
}

// Of the delivery that ended with that tag; once, however often it is called.
void Supervise::count_lease(std::uint64_t sequence, std::uint8_t tag, bool failed) {
    view_.count_attempt(sequence, tag, failed, [] { return true; });
}

void Supervise::after_failure(std::uint64_t index, SlotWord ours, std::uint64_t sequence,
                              const Cause& cause) {
    const Attempts attempts = view_.attempts_of(sequence);
    const Policy& policy = segment_.policy();
    if (attempts.failures <= 1) {
        const auto milliseconds = static_cast<std::uint64_t>(now_ / nanoseconds_per_millisecond);
        view_.first_failures[index].store(
            view_.ring.lap_of(sequence) << failure_time_bits |
                (milliseconds & ((std::uint64_t{1} << failure_time_bits) - 1)),
            memory_order_relaxed);
    }
    // Without a limit nobody needs to know, and nothing would bound what is written.
    if (const std::uint64_t lsn = lsn_of(sequence); lsn != 0 && policy.max_deliveries != 0)
        failed_.push_back({lsn, attempts.deliveries, attempts.failures});
    if (policy.max_deliveries != 0 && attempts.failures >= policy.max_deliveries) {
        doom(index, ours, sequence, cause);
    } else if (policy.retry_first_ns != 0) {
        delay(index, ours, sequence, grain_of(deadline_after(now_, retry_delay(sequence))));
    } else {
        return_slot(index, ours, sequence);
    }
}

Nanoseconds Supervise::first_failure_of(std::uint64_t sequence) const {
    const std::uint64_t raw =
        view_.first_failures[view_.ring.index_of(sequence)].load(memory_order_relaxed);
    constexpr std::uint64_t laps = (std::uint64_t{1} << failure_lap_bits) - 1;
    if (raw >> failure_time_bits != (view_.ring.lap_of(sequence) & laps)) return 0;
    return static_cast<Nanoseconds>(raw & ((std::uint64_t{1} << failure_time_bits) - 1)) *
           nanoseconds_per_millisecond;
}

// Doubled with each vain delivery.
Nanoseconds Supervise::retry_delay(std::uint64_t sequence) const {
    const Policy& policy = segment_.policy();
    const std::uint32_t deliveries = view_.attempts_of(sequence).deliveries;
    std::uint64_t wait = policy.retry_first_ns;
    for (std::uint32_t i = 1; i < deliveries && wait < policy.retry_max_ns; ++i)
        wait *= 2;
    return static_cast<Nanoseconds>(wait < policy.retry_max_ns ? wait : policy.retry_max_ns);
}

// leased(0), announced in its cell -> returned.
bool Supervise::return_slot(std::uint64_t index, SlotWord ours, std::uint64_t sequence) {
    // Owner 0: nobody takes it from us.
    view_.set_cell(sequence, ours.tag(), [] { return true; });
    // Producers may pass over it meanwhile, once a lap.
    for (int round = 0; round < rounds_most; ++round) {
        if (view_.ring.change(index, ours, ours.to(SlotState::returned, 0))) return true;
        ours = view_.ring.word_at(index);
        if (ours.state() != SlotState::leased || ours.owner() != 0) break;
    }
    damaged_ = true;
    return false;
}

// leased(0) -> free, slot first, then its block.
bool Supervise::free_slot(std::uint64_t index, SlotWord word) {
    const BlockHandle block = view_.block_at(index);
    for (int round = 0; round < rounds_most; ++round) {
        if (view_.ring.change(index, word, word.freed())) {
            if (block.valid()) view_.pool.free(block);
            return true;
        }
        word = view_.ring.word_at(index);
        if (word.state() != SlotState::leased || word.owner() != 0) break;
    }
    damaged_ = true;
    return false;
}

// It stays leased(0) until its time has come.
void Supervise::delay(std::uint64_t index, SlotWord ours, std::uint64_t sequence,
                      std::uint32_t due_grain) {
    const Note note{view_.ring.lap_of(sequence), ours.tag(), NoteKind::delayed, due_grain};
    // Again where a writer came in between whose lease had ended.
    for (int round = 0; round < rounds_most; ++round) {
        const std::uint64_t present = view_.notes[index].load(memory_order_acquire);
        if (view_.write_note(index, present, note)) {
            due_at(now_ + until_grain(note.value, now_));
            return;
        }
    }
    return_slot(index, ours, sequence);
}

// It stays leased(0) until it is in the dead-letter queue; where there is none, it is dropped.
void Supervise::doom(std::uint64_t index, SlotWord ours, std::uint64_t sequence,
                     const Cause& cause) {
    if (segment_.policy().dead_letter[0] != '\0') {
        doomed_[index] = {index, sequence, cause, now_};
        return;
    }
    drop(index, ours, sequence,
         cause.reason == DeadReason::rejected ? CountJournal::Drop::rejected
                                              : CountJournal::Drop::failed);
}

// leased(0) -> free, and counted.
bool Supervise::drop(std::uint64_t index, SlotWord word, std::uint64_t sequence,
                     CountJournal::Drop why) {
    CountJournal::begin_drop(view_, why, sequence);
    const bool dropped = free_slot(index, word);
    CountJournal::end_drop(view_, why, dropped);
    return dropped;
}

bool Supervise::in_motion(std::uint64_t sequence) const {
    const auto found = in_motion_.find(view_.ring.index_of(sequence));
    return found != in_motion_.end() && found->second == sequence;
}

// What a predecessor was moving stands as it found it: rejected, failed, or taken by hand.
bool Supervise::in_doubt(NoteKind kind) const {
    const bool may_have_moved =
        kind == NoteKind::rejected || kind == NoteKind::taken || kind == NoteKind::none;
    return may_have_moved && moves_unknown_ && moves_unknown_();
}

bool Supervise::leave(std::uint64_t sequence, CountJournal::Drop count_as) {
    const auto word = find(sequence);
    if (!word || word->state() != SlotState::leased || word->owner() != 0) return false;
    if (!drop(view_.ring.index_of(sequence), *word, sequence, count_as)) return false;
    wake(view_.header->space, UINT32_MAX);
    return true;
}

std::uint64_t Supervise::lsn_of(std::uint64_t sequence) const {
    if (view_.lsns == nullptr) return 0;
    return view_.lsns[view_.ring.index_of(sequence)].load(memory_order_relaxed);
}

// ---- By hand -----------------------------------------------------------------------------------

namespace {

constexpr const char* not_here = "no such message is here";
constexpr const char* in_flux = "it changed hands just now; try again";

}  // namespace

// Why a message in our hands may not be touched now; nullptr: it may.
const char* Supervise::why_bound(std::uint64_t index, SlotWord word, std::uint64_t sequence) const {
    if (word.state() != SlotState::leased || word.owner() != 0) return nullptr;
    if (in_motion(sequence)) return "it is on its way to another queue; try again";
    const NoteKind kind = note_of(index, word, sequence).kind;
    if (kind == NoteKind::moving) return "it is on its way from another queue; try again";
    if (in_doubt(kind)) return "the journals do not say yet whether it was moved; try again";
    return nullptr;
}

bool Supervise::bound(std::uint64_t sequence) const {
    const auto word = find(sequence);
    return word && why_bound(view_.ring.index_of(sequence), *word, sequence) != nullptr;
}

// A delivery that its holder gave up, and that no sweep has seen yet.
void Supervise::count_surrendered(std::uint64_t index, SlotWord word, std::uint64_t sequence) {
    const NoteKind kind = note_of(index, word, sequence).kind;
    if (kind == NoteKind::rejected || kind == NoteKind::postponed || kind == NoteKind::nacked) {
        count_lease(sequence, word.tag(), kind == NoteKind::rejected);
    }
}

// A message that somebody holds, or that waits in our hands, becomes ours.
std::optional<SlotWord> Supervise::take_held(std::uint64_t sequence, std::string& why_not) {
    const std::uint64_t index = view_.ring.index_of(sequence);
    const auto word = find(sequence);
    if (!word) {
        why_not = not_here;
    } else if (word->state() != SlotState::leased) {
        why_not = "nobody holds it";
    } else if (const char* bound = why_bound(index, *word, sequence)) {
        why_not = bound;
    } else if (const SlotWord ours = word->owner() == 0 ? *word : word->leased_to(0);
               ours != *word && !view_.ring.change(index, *word, ours)) {
        why_not = in_flux;
    } else {
        if (*word == ours) count_surrendered(index, *word, sequence);
        doomed_.erase(index);
        return ours;
    }
    return std::nullopt;
}

std::string Supervise::ack_by_hand(std::uint64_t sequence) {
    std::string why_not;
    const auto ours = take_held(sequence, why_not);
    if (!ours) return why_not;
    drop(view_.ring.index_of(sequence), *ours, sequence, CountJournal::Drop::acked);
    wake(view_.header->space, UINT32_MAX);
    return {};
}

std::string Supervise::nack_by_hand(std::uint64_t sequence, Nanoseconds due, Nanoseconds now) {
    now_ = now;
    std::string why_not;
    const std::uint64_t index = view_.ring.index_of(sequence);
    const auto before = find(sequence);
    const auto ours = take_held(sequence, why_not);
    if (!ours) return why_not;
    if (before && before->owner() != 0) count_lease(sequence, holders_tag(*ours), false);
    if (due > now) {
        delay(index, *ours, sequence, grain_of(due));
        return {};
    }
    return_slot(index, *ours, sequence);
    view_.map.announce();
    wake(view_.header->items, 1);
    return {};
}

// The handle stays good: neither word nor tag changes, only the deadline that the holder could have
// set itself.
std::string Supervise::extend_by_hand(std::uint64_t sequence, Nanoseconds deadline,
                                      Nanoseconds now) {
    const std::uint64_t index = view_.ring.index_of(sequence);
    const auto word = find(sequence);
    if (!word) return not_here;
    if (word->state() != SlotState::leased || word->owner() == 0) return "nobody holds it";
    const Note note{view_.ring.lap_of(sequence), word->tag(), NoteKind::deadline,
                    grain_at(static_cast<std::uint64_t>(deadline))};
    const std::uint64_t present = view_.notes[index].load(memory_order_acquire);
    if (view_.ring.word_at(index) != *word || !view_.write_note(index, present, note)) {
        return in_flux;
    }
    if (!seen_.empty()) seen_[index].since = now;
    return {};
}

// A message that waits becomes ours: ready, returned, delayed or held. The note goes first, for the
// tag to come: a successor that finds the slot puts it back, and counts no delivery for it.
std::optional<SlotWord> Supervise::take_waiting(std::uint64_t sequence, bool unread_is_ours,
                                                std::string& why_not) {
    const std::uint64_t index = view_.ring.index_of(sequence);
    const auto word = find(sequence);
    why_not.clear();
    if (!word) {
        why_not = not_here;
    } else if (word->owner() != 0) {
        why_not = "somebody holds it";
    } else if (const char* bound = why_bound(index, *word, sequence)) {
        why_not = bound;
    } else if (word->state() == SlotState::ready && !unread_is_ours) {
        why_not = "only the queue's exclusive consumer may touch it";
    } else if (word->state() == SlotState::leased) {
        count_surrendered(index, *word, sequence);
    } else {
        const std::uint64_t present = view_.notes[index].load(memory_order_acquire);
        const SlotWord ours = word->leased_to(0);
        const Note note{view_.ring.lap_of(sequence), ours.tag(), NoteKind::taken, 0};
        if (view_.write_note(index, present, note) && view_.ring.change(index, *word, ours)) {
            return ours;
        }
        why_not = in_flux;
    }
    if (!why_not.empty()) return std::nullopt;
    doomed_.erase(index);
    return word;
}

std::string Supervise::discard(std::uint64_t sequence, bool unread_is_ours) {
    std::string why_not;
    const auto ours = take_waiting(sequence, unread_is_ours, why_not);
    if (!ours) return why_not;
    drop(view_.ring.index_of(sequence), *ours, sequence, CountJournal::Drop::purged);
    wake(view_.header->space, UINT32_MAX);
    return {};
}

}  // namespace shmq::shm

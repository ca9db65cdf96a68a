// What time brings, and what clients left to the supervisor.
#include <algorithm>

#include "shm/supervise.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

constexpr Nanoseconds sweep_most_ns = nanoseconds_per_second;
constexpr Nanoseconds sweep_least_ns = nanoseconds_per_millisecond;
// Until decisions that were held back are looked at again: nobody tells us that they may be made.
constexpr Nanoseconds held_look_ns = 10 * nanoseconds_per_millisecond;

}  // namespace

std::uint64_t Supervise::sweep(Nanoseconds now, const Stopped& stopped) {
    now_ = now;
    next_due_ = no_deadline;
    saw_leases_ = false;
    if (segment_.untouched()) return 0;
    std::uint64_t acted = 0;
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        if (sweep_slot(index, view_.ring.word_at(index), stopped)) ++acted;
    }
    // A dead supervisor may have left a block of its own, and returned what it told nobody of.
    const bool first = !swept_;
    if (first) {
        swept_ = true;
        add(view_.header->totals.reclaimed_blocks, reclaim_blocks(0));
    }
    if (acted != 0 || first) {
        view_.map.announce();
        wake(view_.header->items, UINT32_MAX);
        wake(view_.header->space, UINT32_MAX);
    }
    return acted;
}

bool Supervise::sweep_slot(std::uint64_t index, SlotWord word, const Stopped& stopped) {
    switch (word.state()) {
        case SlotState::returned:
            return repair_cell(index, word);
        case SlotState::writing:
        case SlotState::skipped:
            return word.owner() == 0 && free_claim(index, word);
        case SlotState::leased:
            if (word.owner() == 0) return decide(index, word);
            break;
        default:
            return false;
    }
    if (held_by_producer(word)) return false;
    saw_leases_ = true;
    if (!expired(index, word, stopped)) return false;
    const Cause cause{.reason = DeadReason::expired, .number = word.owner()};
    if (!take_back(index, word, &cause)) return false;
    add(view_.header->totals.expired, 1);
    return true;
}

// Our own claims do not outlive the call that made them: this one is a predecessor's. Somebody may
// skip it or pass over it meanwhile, each once a lap.
bool Supervise::free_claim(std::uint64_t index, SlotWord word) {
    for (int round = 0; round < rounds_most; ++round) {
        if (view_.ring.change(index, word, word.freed())) return true;
        word = view_.ring.word_at(index);
        const bool claim = word.state() == SlotState::writing || word.state() == SlotState::skipped;
        if (!claim || word.owner() != 0) return false;
    }
    damaged_ = true;
    return false;
}

// A returned slot always has its cell, but the map is a hint and hints are not believed: what
// stands returned without one gets one.
bool Supervise::repair_cell(std::uint64_t index, SlotWord word) {
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, word, sound);
    const std::uint64_t lap = view_.ring.lap_of(sequence);
    const std::uint64_t cell = view_.map.cell(index);
    if (cell_means(cell, lap, word.tag()) || view_.ring.word_at(index) != word) return false;
    return view_.map.replace(index, cell, returned_cell(cell, lap, word.tag()));
}

// A slot in our hands: left to us, waiting, or found half-way after a predecessor's death. Whether
// anything became of it now.
bool Supervise::decide(std::uint64_t index, SlotWord word) {
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, word, sound);
    if (!sound) damaged_ = true;
    if (const auto known = doomed_.find(index); known != doomed_.end()) {
        if (known->second.sequence == sequence) return false;
        doomed_.erase(known);
    }
    if (in_motion(sequence)) return false;
    const Note note = note_of(index, word, sequence);
    if (in_doubt(note.kind)) {
        next_due_ = std::min(next_due_, deadline_after(now_, held_look_ns));
        return false;
    }
    switch (note.kind) {
        case NoteKind::moving:
            return false;  // settle() knows
        case NoteKind::delayed:
            if (const Nanoseconds left = until_grain(note.value, now_); left > 0) {
                due_at(now_ + left);
                return false;
            }
            return return_slot(index, word, sequence);
        case NoteKind::taken:
            return return_slot(index, word, sequence);
        case NoteKind::postponed:
            count_lease(sequence, word.tag(), false);
            delay(index, word, sequence, note.value);
            return false;
        case NoteKind::nacked:
            count_lease(sequence, word.tag(), false);
            delay(index, word, sequence, grain_of(deadline_after(now_, retry_delay(sequence))));
            return false;
        case NoteKind::damaged:
            drop(index, word, sequence, CountJournal::Drop::damaged);
            return true;
        case NoteKind::rejected:
            count_lease(sequence, word.tag(), true);
            doom(
                index, word, sequence,
                {.reason = DeadReason::rejected, .number = static_cast<std::uint16_t>(note.value)});
            return true;
        default:
            count_lease(sequence, holders_tag(word), true);
            after_failure(index, word, sequence, {});
            return true;
    }
}

// Producers lease only what they are about to drop; that never comes back while they live.
bool Supervise::held_by_producer(SlotWord word) {
    if (word.owner() >= segment_.geometry().shape.participants) {
        damaged_ = true;
        return true;
    }
    return view_.participants[word.owner()].role.load(memory_order_relaxed) ==
           static_cast<std::uint32_t>(Role::producer);
}

// A lease counts from when it was first seen here, or runs until the deadline that its holder set.
// A deadline already past at first sight waits for the second: it may speak of another message.
bool Supervise::expired(std::uint64_t index, SlotWord word, const Stopped& stopped) {
    if (seen_.empty()) seen_.resize(view_.ring.capacity());
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, word, sound);
    const auto lease = static_cast<std::uint32_t>(word.raw & 0xfffffff);
    Seen& seen = seen_[index];
    const bool first_sight = seen.sequence != sequence || seen.lease != lease || seen.since == 0;
    if (first_sight) seen = {sequence, lease, now_, false};
    const bool is_stopped =
        stopped && (seen.paused || *lease_left(index, now_) == 0) && stopped(word.owner());
    if (is_stopped) {  // it gets its time anew when it goes on
        seen.since = now_;
        seen.paused = true;
    }
    const Nanoseconds left = *lease_left(index, now_);
    if (left == 0 && !first_sight) return true;
    due_at(now_ + (left != 0 ? left : note_grain_ns));
    return false;
}

std::optional<Nanoseconds> Supervise::lease_left(std::uint64_t index, Nanoseconds now) const {
    const SlotWord word = view_.ring.word_at(index);
    if (seen_.empty() || word.state() != SlotState::leased || word.owner() == 0) return {};
    const Seen& seen = seen_[index];
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, word, sound);
    if (seen.sequence != sequence || seen.lease != static_cast<std::uint32_t>(word.raw & 0xfffffff))
        return {};
    const Note note = note_of(index, word, sequence);
    if (note.kind == NoteKind::deadline && !seen.paused) return until_grain(note.value, now);
    const auto lease = static_cast<Nanoseconds>(segment_.geometry().shape.lease_ns);
    return std::max<Nanoseconds>(0, seen.since + lease - now);
}

std::optional<Nanoseconds> Supervise::due_in(std::uint64_t index, Nanoseconds now) const {
    const SlotWord word = view_.ring.word_at(index);
    if (word.state() != SlotState::leased || word.owner() != 0) return {};
    bool sound = true;
    const Note note = note_of(index, word, sequence_at(index, word, sound));
    if (note.kind != NoteKind::delayed) return {};
    return until_grain(note.value, now);
}

bool Supervise::take_work_flag() {
    return view_.header->supervisor_work.exchange(0, memory_order_acq_rel) != 0;
}

// A lease begins unseen by at most this: so it is late by an eighth of itself, or a second.
Nanoseconds Supervise::sweep_interval() const {
    const auto eighth = static_cast<Nanoseconds>(segment_.geometry().shape.lease_ns / 8);
    return std::clamp(eighth, sweep_least_ns, sweep_most_ns);
}

// ---- Management --------------------------------------------------------------------------------

std::uint64_t Supervise::purge() {
    const bool to_holder = exclusive_reader_attached();
    std::uint64_t purged = 0;
    std::uint64_t end = view_.header->head.load(memory_order_relaxed);
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        bool sound = true;
        if (word.state() == SlotState::ready) {
            end = later(end, sequence_at(index, word, sound) + 1);
            if (to_holder) continue;
        } else if (word.state() == SlotState::leased && word.owner() == 0) {
            // Delayed, or held for want of room among the dead letters.
            if (why_bound(index, word, sequence_at(index, word, sound)) != nullptr) continue;
            doomed_.erase(index);
        } else if (word.state() != SlotState::returned) {
            continue;
        }
        if (drop_for_purge(index, word)) ++purged;
    }
    purge_left_to_holder_ = to_holder;
    if (to_holder) {
        view_.header->purge_position.store(end, memory_order_relaxed);
        view_.header->purge_requests.fetch_add(1, memory_order_release);
        view_.map.announce();  // so that the holder looks
        wake(view_.header->items, UINT32_MAX);
    }
    wake(view_.header->space, UINT32_MAX);
    return purged;
}

bool Supervise::drop_for_purge(std::uint64_t index, SlotWord word) {
    const SlotWord ours = word.to(SlotState::leased, 0);
    if (ours != word && !view_.ring.change(index, word, ours)) return false;
    bool sound = true;
    return drop(index, ours, sequence_at(index, ours, sound), CountJournal::Drop::purged);
}

bool Supervise::after_purge(std::uint64_t index, SlotWord word) const {
    const std::uint64_t end = view_.header->purge_position.load(memory_order_relaxed);
    const std::int64_t laps = lap_difference(word.lap(), view_.ring.lap_of(end) & lap_mask);
    return laps > 0 || (laps == 0 && index >= view_.ring.index_of(end));
}

void Supervise::close(QueueStatus status) {
    view_.header->items.closed.store(static_cast<std::uint32_t>(status), memory_order_seq_cst);
    view_.header->space.closed.store(static_cast<std::uint32_t>(status), memory_order_seq_cst);
    wake_all(view_.header->items);
    wake_all(view_.header->space);
    wake_all(view_.header->journal.confirms);
    closed_ = true;
}

// Who waits is woken to look, whether it may go on or must wait longer: a wake-up too many costs
// less than one too few.
void Supervise::pause(bool producers, bool consumers) {
    if (closed_) return;
    const auto set = [](WaitPoint& point, bool paused) {
        const auto status = paused ? QueueStatus::paused : QueueStatus::open;
        point.closed.store(static_cast<std::uint32_t>(status), memory_order_seq_cst);
    };
    set(view_.header->items, producers);
    set(view_.header->space, consumers);
    wake_all(view_.header->items);
    wake_all(view_.header->space);
}

}  // namespace shmq::shm

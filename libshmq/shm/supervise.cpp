#include "shm/supervise.hpp"

#include <algorithm>

#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

constexpr Nanoseconds sweep_most_ns = nanoseconds_per_second;

void add(Atomic<std::uint64_t>& counter, std::uint64_t by) {
    counter.store(counter.load(memory_order_relaxed) + by, memory_order_relaxed);
}

ParticipantState state_of(const ParticipantRecord& record) {
    return static_cast<ParticipantState>(record.state.load(memory_order_relaxed));
}

bool present(ParticipantState state) {
    return state == ParticipantState::attached || state == ParticipantState::hung_up;
}

}  // namespace

Reclaimed& Reclaimed::operator+=(const Reclaimed& other) {
    leases += other.leases;
    claims += other.claims;
    blocks += other.blocks;
    return *this;
}

Supervise::Supervise(Segment& segment)
    : segment_(segment), view_(segment.ring_base(), segment.pool_base(), segment.geometry()) {
    CountJournal::recover(view_);
}

// ---- Participants ------------------------------------------------------------------------------

std::uint16_t Supervise::admit(Role role, bool exclusive, Identity identity, Nanoseconds now) {
    // The pool may have been made since this was constructed.
    view_ = QueueView(segment_.ring_base(), segment_.pool_base(), segment_.geometry());
    for (std::uint32_t number = 1; number < segment_.geometry().shape.participants; ++number) {
        ParticipantRecord& record = view_.participants[number];
        if (state_of(record) != ParticipantState::vacant) continue;
        record.role.store(static_cast<std::uint32_t>(role), memory_order_relaxed);
        record.exclusive.store(exclusive ? 1 : 0, memory_order_relaxed);
        record.pid.store(identity.pid, memory_order_relaxed);
        record.uid.store(identity.uid, memory_order_relaxed);
        record.generation.fetch_add(1, memory_order_relaxed);
        record.attached_at.store(static_cast<std::uint64_t>(now), memory_order_relaxed);
        record.read_position.store(view_.header->head.load(memory_order_relaxed),
                                   memory_order_relaxed);
        record.handling.store(0, memory_order_relaxed);
        record.in_flight.store(0, memory_order_relaxed);
        record.state.store(static_cast<std::uint32_t>(ParticipantState::attached),
                           memory_order_release);  // [8]
        return static_cast<std::uint16_t>(number);
    }
    return 0;
}

std::uint32_t Supervise::generation(std::uint16_t number) const {
    return view_.participants[number].generation.load(memory_order_relaxed);
}

bool Supervise::taken(std::uint16_t number) const {
    return number != 0 && number < segment_.geometry().shape.participants &&
           state_of(view_.participants[number]) != ParticipantState::vacant;
}

void Supervise::resume(std::uint16_t number) {
    if (!taken(number)) return;
    ParticipantRecord& record = view_.participants[number];
    if (state_of(record) != ParticipantState::hung_up) return;
    record.state.store(static_cast<std::uint32_t>(ParticipantState::attached),
                       memory_order_relaxed);
}

void Supervise::share_in_flight(std::uint32_t wanted) {
    std::uint64_t consumers = 0;
    for (std::uint32_t number = 1; number < segment_.geometry().shape.participants; ++number) {
        const ParticipantRecord& record = view_.participants[number];
        if (present(state_of(record)) &&
            record.role.load(memory_order_relaxed) == static_cast<std::uint32_t>(Role::consumer)) {
            ++consumers;
        }
    }
    const std::uint64_t half = segment_.geometry().shape.capacity / 2;
    const std::uint64_t share =
        std::max<std::uint64_t>(1, half / std::max<std::uint64_t>(1, consumers));
    view_.header->in_flight_cap.store(
        static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, share)), memory_order_relaxed);
}

Reclaimed Supervise::hang_up(std::uint16_t number) {
    Reclaimed reclaimed;
    if (number == 0 || number >= segment_.geometry().shape.participants) return reclaimed;
    ParticipantRecord& record = view_.participants[number];
    if (!present(state_of(record))) return reclaimed;
    record.state.store(static_cast<std::uint32_t>(ParticipantState::hung_up), memory_order_relaxed);
    reclaim_slots(number, true, true, reclaimed);
    add(view_.header->totals.reclaimed_leases, reclaimed.leases);
    wake_everybody();
    return reclaimed;
}

Reclaimed Supervise::reclaim(std::uint16_t number, Ending ending) {
    Reclaimed reclaimed;
    if (number == 0 || number >= segment_.geometry().shape.participants) return reclaimed;
    ParticipantRecord& record = view_.participants[number];
    if (state_of(record) == ParticipantState::vacant) return reclaimed;
    record.state.store(static_cast<std::uint32_t>(ParticipantState::gone), memory_order_relaxed);
    const bool failed = ending != Ending::detached;
    finish_drop(record, number);
    reclaim_slots(number, false, failed, reclaimed);
    if (is_exclusive_reader(record)) {
        reclaim_reads(record, failed, reclaimed);
        purge_left_to_holder_ = false;
    }
    reclaimed.blocks = reclaim_blocks(number);

    Totals& totals = view_.header->totals;
    add(totals.reclaimed_leases, reclaimed.leases);
    add(totals.reclaimed_claims, reclaimed.claims);
    add(totals.reclaimed_blocks, reclaimed.blocks);
    if (ending == Ending::died) add(totals.reclaimed_parties, 1);
    CountJournal::fold(view_, number);
    // The number last: whoever finds it still taken does all of this again, the wake-ups included.
    wake_everybody();
    record.state.store(static_cast<std::uint32_t>(ParticipantState::vacant), memory_order_release);
    return reclaimed;
}

// Returned messages are announced even if this pass returned none: a dead returner may have come
// as far as its slot, and no further.
void Supervise::wake_everybody() {
    view_.map.announce();
    restart_waiters(view_.header->items);
    restart_waiters(view_.header->space);
}

// ---- Slots -------------------------------------------------------------------------------------

// The sequence of the message in a slot, by its header if that makes sense. If not, the word's own
// lap: wrong by the laps that the message was passed over, and the queue is marked damaged.
std::uint64_t Supervise::sequence_at(std::uint64_t index, SlotWord word, bool& sound) const {
    const std::uint64_t sequence = view_.ring.slot(index).sequence.load(memory_order_relaxed);
    const std::int64_t passed = lap_difference(word.lap(), view_.ring.lap_of(sequence) & lap_mask);
    sound = view_.ring.index_of(sequence) == index && passed >= 0;
    return sound ? sequence : (word.lap() << segment_.geometry().capacity_log2) + index;
}

void Supervise::reclaim_slots(std::uint16_t number, bool leases_only, bool failed,
                              Reclaimed& reclaimed) {
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        if (word.owner() != number) continue;
        if (leases_only && word.state() != SlotState::leased) continue;
        reclaim_slot(index, word, failed, reclaimed);
    }
}

// Again if a live process changed the word meanwhile: a producer may pass over it, a consumer skip
// it, each once a lap at most; after a few rounds it is not ours to wait for.
void Supervise::reclaim_slot(std::uint64_t index, SlotWord word, bool failed,
                             Reclaimed& reclaimed) {
    constexpr int rounds_most = 64;
    const std::uint16_t number = word.owner();
    for (int round = 0; round < rounds_most; ++round) {
        if (word.owner() != number) return;
        if (word.state() == SlotState::leased) {
            if (return_slot(index, word, failed)) {
                ++reclaimed.leases;
                return;
            }
        } else if (word.state() == SlotState::writing || word.state() == SlotState::skipped) {
            if (view_.ring.change(index, word, word.freed())) {
                ++reclaimed.claims;
                return;
            }
        } else {
            damaged_ = true;  // no other state has an owner
            return;
        }
        word = view_.ring.word_at(index);
    }
    damaged_ = true;
}

// A drop that its producer began: freed means dropped, leased means that it is returned like
// everything else that the dead held.
void Supervise::finish_drop(ParticipantRecord& record, std::uint16_t number) {
    DropCount count = DropCount::unpack(record.dropped.load(memory_order_acquire));
    if (count.slot_plus_one == 0) return;
    if (count.slot_plus_one > view_.ring.capacity()) {
        damaged_ = true;
    } else {
        const SlotWord word = view_.ring.word_at(count.slot_plus_one - 1);
        const bool still_leased = word.state() == SlotState::leased && word.owner() == number;
        count.dropped += still_leased ? 0u : 1u;
    }
    count.slot_plus_one = 0;
    record.dropped.store(count.pack(), memory_order_release);
}

bool Supervise::is_exclusive_reader(const ParticipantRecord& record) const {
    return segment_.geometry().has(exclusive_consumer) &&
           record.role.load(memory_order_relaxed) == static_cast<std::uint32_t>(Role::consumer);
}

// What an exclusive consumer has read stands ready in the ring, before its read position. Nobody
// else takes from the ring as long as its successor is not admitted.
void Supervise::reclaim_reads(ParticipantRecord& record, bool failed, Reclaimed& reclaimed) {
    const std::uint64_t read_position = record.read_position.load(memory_order_relaxed);
    const std::uint64_t read_lap = view_.ring.lap_of(read_position) & lap_mask;
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        if (word.state() != SlotState::ready) continue;
        const std::int64_t laps = lap_difference(word.lap(), read_lap);
        const bool read = laps < 0 || (laps == 0 && index < view_.ring.index_of(read_position));
        if (read) {
            if (return_slot(index, word, failed)) ++reclaimed.leases;
        } else if (purge_left_to_holder_ && !after_purge(index, word)) {
            drop_for_purge(index, word);
        }
    }
}

// leased (or ready and read) -> leased(0) under the next tag, counted, announced in its cell ->
// returned. The tag is another than its holder's: a note that the holder still leaves is not of
// this hold (docs/decisions/0020-take-over-raises-the-tag.md).
bool Supervise::return_slot(std::uint64_t index, SlotWord word, bool failed) {
    const bool held_already = word.state() == SlotState::leased && word.owner() == 0;
    SlotWord ours = held_already ? word : word.leased_to(0);
    if (ours != word && !view_.ring.change(index, word, ours)) return false;
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, ours, sound);
    if (!sound) damaged_ = true;
    const auto held = [] { return true; };  // owner 0: nobody takes it from us
    const auto holders_tag = static_cast<std::uint8_t>(ours.tag() - 1);
    view_.count_attempt(sequence, holders_tag, failed, held);
    view_.set_cell(sequence, ours.tag(), held);
    // Producers may pass over it meanwhile, once a lap.
    constexpr int rounds_most = 64;
    for (int round = 0; round < rounds_most; ++round) {
        if (view_.ring.change(index, ours, ours.to(SlotState::returned, 0))) return true;
        ours = view_.ring.word_at(index);
        if (ours.state() != SlotState::leased || ours.owner() != 0) break;
    }
    damaged_ = true;
    return true;
}

// leased(0) -> free, slot first, then its block.
bool Supervise::free_slot(std::uint64_t index, SlotWord word) {
    constexpr int rounds_most = 64;
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

// ---- Blocks ------------------------------------------------------------------------------------

// Order matters: first which blocks are held, then which slots refer to them. A block that is
// in_slot now was published before, and its message stays in its slot as long as it exists; so what
// no slot refers to afterwards, nobody will.
std::uint64_t Supervise::reclaim_blocks(std::uint16_t number) {
    std::vector<Suspect> suspects;
    for (std::uint64_t block = 0; block < view_.pool.count(); ++block) {
        const BlockWord word = view_.pool.word(block);
        const bool loaned_by_dead = word.state() == BlockState::loaned && word.owner() == number;
        if (loaned_by_dead || word.state() == BlockState::in_slot) {
            suspects.push_back({{block, word.generation()}, word, false});
        }
    }
    if (suspects.empty()) return 0;
    mark_referred(suspects);
    std::uint64_t freed = 0;
    for (const Suspect& suspect : suspects) {
        if (!suspect.referred) {
            if (view_.pool.free(suspect.handle)) ++freed;
        } else if (suspect.word.state() == BlockState::loaned) {
            view_.pool.change(suspect.handle.block, suspect.word,
                              BlockWord::make(suspect.handle.generation, 0, BlockState::in_slot));
        }
    }
    return freed;
}

void Supervise::mark_referred(std::vector<Suspect>& suspects) {
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotState state = view_.ring.word_at(index).state();
        if (state != SlotState::ready && state != SlotState::leased &&
            state != SlotState::returned) {
            continue;
        }
        const BlockHandle block = view_.block_at(index);
        if (!block.valid()) continue;
        const auto place = std::lower_bound(suspects.begin(), suspects.end(), block.block,
                                            [](const Suspect& suspect, std::uint64_t wanted) {
                                                return suspect.handle.block < wanted;
                                            });
        if (place != suspects.end() && place->handle.block == block.block &&
            place->handle.generation == block.generation) {
            place->referred = true;
        }
    }
}

// ---- Time and decisions ------------------------------------------------------------------------

std::uint64_t Supervise::sweep(Nanoseconds now) {
    std::uint64_t acted = 0;
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        if (word.state() == SlotState::returned) acted += repair_cell(index, word) ? 1u : 0u;
        if (word.state() != SlotState::leased) continue;
        if (word.owner() == 0) {
            decide(index, word);
            ++acted;
        } else if (!held_by_producer(word) && expired(index, word, now) &&
                   return_slot(index, word, true)) {
            add(view_.header->totals.expired, 1);
            ++acted;
        }
    }
    if (acted != 0) {
        view_.map.announce();
        wake(view_.header->items, UINT32_MAX);
        wake(view_.header->space, UINT32_MAX);
    }
    return acted;
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

// A slot left to us: rejected, or found half-way after a predecessor's death.
void Supervise::decide(std::uint64_t index, SlotWord word) {
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, word, sound);
    if (!sound) damaged_ = true;
    const Note note = Note::unpack(view_.notes[index].load(memory_order_acquire));  // [6]
    if (!note.speaks_of(view_.ring.lap_of(sequence), word.tag()) ||
        note.kind == NoteKind::deadline) {
        return_slot(index, word, true);
        return;
    }
    drop(index, word, sequence,
         note.kind == NoteKind::damaged ? CountJournal::Drop::damaged
                                        : CountJournal::Drop::rejected);
}

// leased(0) -> free, and counted.
bool Supervise::drop(std::uint64_t index, SlotWord word, std::uint64_t sequence,
                     CountJournal::Drop why) {
    CountJournal::begin_drop(view_, why, sequence);
    const bool dropped = free_slot(index, word);
    CountJournal::end_drop(view_, why, dropped);
    return dropped;
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
bool Supervise::expired(std::uint64_t index, SlotWord word, Nanoseconds now) {
    if (seen_.empty()) seen_.resize(view_.ring.capacity());
    bool sound = true;
    const std::uint64_t sequence = sequence_at(index, word, sound);
    const auto lease = static_cast<std::uint32_t>(word.raw & 0xfffffff);
    Seen& seen = seen_[index];
    if (seen.sequence != sequence || seen.lease != lease || seen.since == 0) {
        seen = {sequence, lease, now};
        return false;
    }
    const Note note = Note::unpack(view_.notes[index].load(memory_order_acquire));
    if (note.kind == NoteKind::deadline &&
        note.speaks_of(view_.ring.lap_of(sequence), word.tag())) {
        const auto grains = static_cast<std::uint32_t>(now / note_grain_ns);
        return static_cast<std::int32_t>(grains - note.value) > 0;
    }
    return now - seen.since >= static_cast<Nanoseconds>(segment_.geometry().shape.lease_ns);
}

bool Supervise::take_work_flag() {
    return view_.header->supervisor_work.exchange(0, memory_order_acq_rel) != 0;
}

Nanoseconds Supervise::sweep_interval() const {
    const auto quarter = static_cast<Nanoseconds>(segment_.geometry().shape.lease_ns / 4);
    return std::min(quarter, sweep_most_ns);
}

// ---- Management --------------------------------------------------------------------------------

std::uint64_t Supervise::purge() {
    const bool to_holder = [&] {
        if (!segment_.geometry().has(exclusive_consumer)) return false;
        for (std::uint32_t number = 1; number < segment_.geometry().shape.participants; ++number) {
            const ParticipantRecord& record = view_.participants[number];
            if (present(state_of(record)) && is_exclusive_reader(record)) return true;
        }
        return false;
    }();
    std::uint64_t purged = 0;
    std::uint64_t end = view_.header->head.load(memory_order_relaxed);
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        bool sound = true;
        if (word.state() == SlotState::ready) {
            end = later(end, sequence_at(index, word, sound) + 1);
            if (to_holder) continue;
        } else if (word.state() != SlotState::returned) {
            continue;
        }
        if (drop_for_purge(index, word)) ++purged;
    }
    purge_left_to_holder_ = to_holder;
    if (to_holder) {
        view_.header->purge_position.store(end, memory_order_relaxed);
        view_.header->purge_requests.fetch_add(1, memory_order_release);
        wake(view_.header->items, UINT32_MAX);
    }
    wake(view_.header->space, UINT32_MAX);
    return purged;
}

bool Supervise::drop_for_purge(std::uint64_t index, SlotWord word) {
    const SlotWord ours = word.to(SlotState::leased, 0);
    if (!view_.ring.change(index, word, ours)) return false;
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
    restart_waiters(view_.header->items);
    restart_waiters(view_.header->space);
}

}  // namespace shmq::shm

#include "shm/supervise.hpp"

#include <algorithm>

#include "shm/given_numbers.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

ParticipantState state_of(const ParticipantRecord& record) {
    return static_cast<ParticipantState>(record.state.load(memory_order_relaxed));
}

bool present(ParticipantState state) {
    return state == ParticipantState::attached || state == ParticipantState::hung_up;
}

bool is_consumer(const ParticipantRecord& record) {
    return record.role.load(memory_order_relaxed) == static_cast<std::uint32_t>(Role::consumer);
}

constexpr std::uint64_t nothing_in_hand = UINT64_MAX;

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

void Supervise::refresh() {
    view_ = QueueView(segment_.ring_base(), segment_.pool_base(), segment_.geometry());
}

// ---- Participants ------------------------------------------------------------------------------

std::uint16_t Supervise::admit(Role role, bool exclusive, Identity identity, Nanoseconds now) {
    refresh();
    for (std::uint32_t number = 1; number < segment_.geometry().shape.participants; ++number) {
        ParticipantRecord& record = view_.participants[number];
        if (state_of(record) != ParticipantState::vacant) continue;
        record.role.store(static_cast<std::uint32_t>(role), memory_order_relaxed);
        record.exclusive.store(exclusive ? 1 : 0, memory_order_relaxed);
        record.pid.store(identity.pid, memory_order_relaxed);
        record.uid.store(identity.uid, memory_order_relaxed);
        // 0 is of those that nobody had.
        if (record.generation.fetch_add(1, memory_order_relaxed) == UINT32_MAX) {
            record.generation.fetch_add(1, memory_order_relaxed);
        }
        record.attached_at.store(static_cast<std::uint64_t>(now), memory_order_relaxed);
        record.read_position.store(view_.header->head.load(memory_order_relaxed),
                                   memory_order_relaxed);
        record.handling.store(0, memory_order_relaxed);
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
    const std::uint32_t end = given_numbers_end(segment_);
    for (std::uint32_t number = 1; number < end; ++number) {
        const ParticipantRecord& record = view_.participants[number];
        if (present(state_of(record)) && is_consumer(record)) ++consumers;
    }
    const std::uint64_t half = segment_.geometry().shape.capacity / 2;
    const std::uint64_t share =
        std::max<std::uint64_t>(1, half / std::max<std::uint64_t>(1, consumers));
    const auto cap = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, share));
    if (view_.header->in_flight_cap.load(memory_order_relaxed) == cap) return;
    view_.header->in_flight_cap.store(cap, memory_order_relaxed);
    view_.map.announce();  // so that consumers look
}

Reclaimed Supervise::hang_up(std::uint16_t number, Nanoseconds now) {
    Reclaimed reclaimed;
    if (number == 0 || number >= segment_.geometry().shape.participants) return reclaimed;
    if (now != 0) now_ = now;
    ParticipantRecord& record = view_.participants[number];
    if (!present(state_of(record))) return reclaimed;
    const Cause cause{.number = number};
    const Hand hand = begin_taking_back(record, number, ParticipantState::hung_up, true);
    reclaim_slots(number, true, hand, &cause, reclaimed);
    add(view_.header->totals.reclaimed_leases, reclaimed.leases);
    wake_everybody();
    return reclaimed;
}

Reclaimed Supervise::reclaim(std::uint16_t number, Ending ending, Nanoseconds now,
                             const Cause& cause) {
    Reclaimed reclaimed;
    if (number == 0 || number >= segment_.geometry().shape.participants) return reclaimed;
    if (now != 0) now_ = now;
    ParticipantRecord& record = view_.participants[number];
    if (state_of(record) == ParticipantState::vacant) return reclaimed;
    Cause of_this = cause;
    of_this.number = number;
    const Cause* failed = ending != Ending::detached && is_consumer(record) ? &of_this : nullptr;
    const Hand hand = begin_taking_back(record, number, ParticipantState::gone, failed != nullptr);
    finish_drop(record, number);
    reclaim_slots(number, false, hand, failed, reclaimed);
    reclaimed.claims += reclaim_ingress(number);
    if (is_exclusive_reader(record)) purge_left_to_holder_ = false;
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

std::uint64_t Supervise::release(std::uint16_t number) {
    Reclaimed reclaimed;
    if (number == 0 || number >= segment_.geometry().shape.participants) return 0;
    if (!is_consumer(view_.participants[number])) return 0;
    for (std::uint64_t index = 0; index < view_.ring.capacity(); ++index) {
        const SlotWord word = view_.ring.word_at(index);
        if (word.owner() == number && word.state() == SlotState::leased) {
            reclaim_slot(index, word, nullptr, reclaimed);
        }
    }
    if (reclaimed.leases != 0) {
        view_.map.announce();
        wake(view_.header->items, UINT32_MAX);
    }
    return reclaimed.leases;
}

// Returned messages are announced even if this pass returned none: a dead returner may have come
// as far as its slot, and no further.
void Supervise::wake_everybody() {
    view_.map.announce();
    wake_all(view_.header->items);
    wake_all(view_.header->space);
    wake_all(view_.header->journal.confirms);
}

// ---- Slots -------------------------------------------------------------------------------------

namespace {

// What it says that it holds, or more; 0: it does not say. Short of the truth by one message, if it
// died within a receive: that one it did not hold yet.
std::uint64_t said_to_hold(const ParticipantRecord& record) {
    const auto get = [](const Atomic<std::uint64_t>& count) {
        return count.load(memory_order_relaxed);
    };
    return get(record.delivered) - get(record.acked) - get(record.nacked) - get(record.rejected);
}

}  // namespace

bool Supervise::holds(const ParticipantRecord& record, std::uint16_t number, std::uint64_t index,
                      SlotWord word) const {
    if (word.owner() == number) return word.state() == SlotState::leased;
    return is_exclusive_reader(record) &&
           was_read(index, word, record.read_position.load(memory_order_relaxed));
}

// Whom to blame is decided once, and written down before anything is taken: a successor that finds
// the state there already blames that message if it is still held, and no other.
Supervise::Hand Supervise::begin_taking_back(ParticipantRecord& record, std::uint16_t number,
                                             ParticipantState next, bool failed) {
    Hand hand{nothing_in_hand, nothing_in_hand};
    if (failed) {
        hand = in_hand(record, number, state_of(record) == next);
        record.handling.store(hand.busy_with + 1, memory_order_relaxed);
    }
    record.state.store(static_cast<std::uint32_t>(next), memory_order_release);
    return hand;
}

// From the youngest back, until all are seen: what is held is mostly close behind what was taken
// last, and the ring is long.
Supervise::Hand Supervise::in_hand(const ParticipantRecord& record, std::uint16_t number,
                                   bool only_as_said) {
    Hand hand{nothing_in_hand, nothing_in_hand};
    bool sound = true;
    const std::uint64_t said = record.handling.load(memory_order_relaxed) - 1;
    const std::uint64_t place = view_.ring.index_of(said);
    const SlotWord there = view_.ring.word_at(place);
    if (holds(record, number, place, there) && sequence_at(place, there, sound) == said) {
        hand.busy_with = said;
    }
    std::uint64_t left = said_to_hold(record);
    const std::uint64_t youngest = later(view_.header->head.load(memory_order_relaxed),
                                         record.read_position.load(memory_order_relaxed)) +
                                   hint_interval;
    for (std::uint64_t back = 1; back <= view_.ring.capacity(); ++back) {
        const std::uint64_t index = view_.ring.index_of(youngest - back);
        const SlotWord word = view_.ring.word_at(index);
        if (!holds(record, number, index, word)) continue;
        const std::uint64_t sequence = sequence_at(index, word, sound);
        if (hand.oldest == nothing_in_hand || after(hand.oldest, sequence)) hand.oldest = sequence;
        if (--left == 0) break;
    }
    if (hand.busy_with == nothing_in_hand && !only_as_said) hand.busy_with = hand.oldest;
    return hand;
}

// From the oldest message on, round the ring: whoever waits is woken for the first and has it while
// the others are on their way.
void Supervise::reclaim_slots(std::uint16_t number, bool leases_only, const Hand& hand,
                              const Cause* cause, Reclaimed& reclaimed) {
    const ParticipantRecord& record = view_.participants[number];
    const std::uint64_t start = hand.oldest != nothing_in_hand ? hand.oldest : 0;
    bool announced = false;
    const std::uint64_t read_position = record.read_position.load(memory_order_relaxed);
    const bool reads = !leases_only && is_exclusive_reader(record);
    for (std::uint64_t step = 0; step < view_.ring.capacity(); ++step) {
        const std::uint64_t index = view_.ring.index_of(start + step);
        const SlotWord word = view_.ring.word_at(index);
        bool sound = true;
        const std::uint64_t sequence = sequence_at(index, word, sound);
        const bool blamed = hand.busy_with != nothing_in_hand && sequence == hand.busy_with;
        const Cause* why = blamed ? cause : nullptr;
        // Nobody but us ends a delivery of the dead: it is counted before it is taken, for what a
        // successor finds taken and not counted has failed.
        if (!leases_only && holds(record, number, index, word)) {
            count_lease(sequence, word.tag(), blamed);
        }
        if (reads && word.state() == SlotState::ready) {
            // What an exclusive consumer has read stands ready in the ring, before its read
            // position. Nobody else takes from the ring as long as its successor is not admitted.
            if (was_read(index, word, read_position)) {
                if (take_back(index, word, why)) ++reclaimed.leases;
            } else if (purge_left_to_holder_ && !after_purge(index, word)) {
                drop_for_purge(index, word);
            }
        } else if (word.owner() == number && (!leases_only || word.state() == SlotState::leased)) {
            reclaim_slot(index, word, why, reclaimed);
        }
        if (reclaimed.leases != 0 && !announced) {
            announced = true;
            view_.map.announce();
            wake(view_.header->items, 1);
        }
    }
}

// Again if a live process changed the word meanwhile: a producer may pass over it, a consumer skip
// it.
void Supervise::reclaim_slot(std::uint64_t index, SlotWord word, const Cause* cause,
                             Reclaimed& reclaimed) {
    const std::uint16_t number = word.owner();
    for (int round = 0; round < rounds_most; ++round) {
        if (word.owner() != number) return;
        if (word.state() == SlotState::leased) {
            if (take_back(index, word, cause)) {
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

// Of the ring in front of a journal: unfinished sends. What is ready there is nobody's any more.
std::uint64_t Supervise::reclaim_ingress(std::uint16_t number) {
    std::uint64_t claims = 0;
    if (!view_.has_journal()) return claims;
    for (std::uint64_t index = 0; index < view_.ingress.capacity(); ++index) {
        for (int round = 0; round < rounds_most; ++round) {
            const SlotWord word = view_.ingress.word_at(index);
            const bool claim = word.owner() == number && (word.state() == SlotState::writing ||
                                                          word.state() == SlotState::skipped);
            if (!claim) break;
            if (!view_.ingress.change(index, word, word.freed())) continue;
            ++claims;
            break;
        }
    }
    return claims;
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
    return segment_.geometry().has(exclusive_consumer) && is_consumer(record);
}

bool Supervise::exclusive_reader_attached() const {
    if (!segment_.geometry().has(exclusive_consumer)) return false;
    const std::uint32_t end = given_numbers_end(segment_);
    for (std::uint32_t number = 1; number < end; ++number) {
        const ParticipantRecord& record = view_.participants[number];
        if (present(state_of(record)) && is_consumer(record)) return true;
    }
    return false;
}

bool Supervise::was_read(std::uint64_t index, SlotWord word, std::uint64_t read_position) const {
    if (word.state() != SlotState::ready) return false;
    const std::int64_t laps =
        lap_difference(word.lap(), view_.ring.lap_of(read_position) & lap_mask);
    return laps < 0 || (laps == 0 && index < view_.ring.index_of(read_position));
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
    // The ingress first: from there a message may go on into the other, never back.
    if (view_.has_journal()) mark_referred(suspects, view_.ingress);
    mark_referred(suspects, view_.ring);
}

void Supervise::mark_referred(std::vector<Suspect>& suspects, const SlotRing& ring) {
    for (std::uint64_t index = 0; index < ring.capacity(); ++index) {
        const SlotState state = ring.word_at(index).state();
        if (state != SlotState::ready && state != SlotState::leased &&
            state != SlotState::returned) {
            continue;
        }
        const BlockHandle block = view_.block_at(ring, index);
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

}  // namespace shmq::shm

#include "shm/slot_ring.hpp"

namespace shmq::shm {

// ---- Producers ---------------------------------------------------------------------------------

ClaimStatus SlotRing::search_free(Cursor& cursor, std::uint64_t& found) {
    std::uint64_t position = cursor.next;
    std::uint64_t run_start = position;  // occupied slots of the last lap, to be passed over
    for (;;) {
        if (cursor.steps_left == 0) return ClaimStatus::full;
        --cursor.steps_left;
        const SlotWord word = word_at(position);  // [2]
        const std::int64_t ahead = lap_difference(word.lap(), lap_of(position));
        if (ahead < 0) {
            if (word.state() == SlotState::ready) return ClaimStatus::full;
            if (word.unclaimed()) {
                // Only a hint that ran ahead of the truth leads here: go to where the ring ends.
                position += static_cast<std::uint64_t>(ahead) << capacity_log2_;
                run_start = position;
                continue;
            }
            // Occupied, or an unfinished claim: if there is room behind it, nobody waits for it.
            if (++position - run_start >= capacity()) return ClaimStatus::full;
            continue;
        }
        if (ahead > 0) {
            // The word proves its own position passed, or a whole lap before it if nobody has it.
            const auto laps = static_cast<std::uint64_t>(ahead) - (word.unclaimed() ? 1 : 0);
            position += (laps << capacity_log2_) + 1;
            run_start = position;
            cursor.next = position;
            continue;
        }
        if (word.state() == SlotState::closed) {
            found = cursor.next = position;
            return ClaimStatus::closed;
        }
        if (word.state() != SlotState::free) {
            run_start = ++position;
            cursor.next = position;
            continue;
        }
        // Free. Pass over the run before it, oldest first; whatever changed there comes first.
        while (run_start != position && pass_over(cursor, run_start))
            ++run_start;
        cursor.next = run_start;
        if (run_start == position) {
            found = position;
            return ClaimStatus::claimed;
        }
        position = run_start;
    }
}

// Makes an occupied slot of an older lap one of this position's lap. True if the position is now
// passed, by us or by another.
bool SlotRing::pass_over(Cursor& cursor, std::uint64_t position) {
    const std::uint64_t lap = lap_of(position);
    for (;;) {
        if (cursor.steps_left == 0) return false;
        --cursor.steps_left;
        const SlotWord word = word_at(position);
        const std::int64_t ahead = lap_difference(word.lap(), lap);
        if (ahead > 0) return true;
        if (ahead == 0) return !word.unclaimed();
        if (word.state() == SlotState::writing) {
            skip(cursor, position, word);
            continue;
        }
        if (!word.occupied()) return false;
        if (change(index_of(position), word, word.with_lap(lap))) return true;
    }
}

ClaimStatus SlotRing::search_and_claim(Cursor& cursor, std::uint16_t owner,
                                       std::uint64_t& position) {
    cursor.next = later(cursor.next, hints_.tail->load(memory_order_relaxed));
    for (;;) {
        const ClaimStatus status = search_free(cursor, position);
        if (status != ClaimStatus::claimed) return status;
        if (claim_at(cursor, owner, position)) return ClaimStatus::claimed;
    }
}

void SlotRing::abandon(std::uint64_t position, std::uint16_t owner) {
    for (;;) {
        const SlotWord word = word_at(position);
        const bool ours = word.owner() == owner && (word.state() == SlotState::writing ||
                                                    word.state() == SlotState::skipped);
        // Anything else means that the supervisor took us for dead: there is nothing left to do.
        if (!ours || change(index_of(position), word, word.freed())) return;
    }
}

// ---- Consumers ---------------------------------------------------------------------------------

// Walks from the cursor to the oldest ready slot; `empty` at a slot nobody has claimed.
TakeStatus SlotRing::find_ready(Cursor& cursor, std::uint64_t& position) {
    position = cursor.next;
    for (;;) {
        if (cursor.steps_left == 0) return TakeStatus::empty;
        --cursor.steps_left;
        const SlotWord word = word_at(position);  // [1]
        const std::int64_t ahead = lap_difference(word.lap(), lap_of(position));
        if (ahead < 0 || (ahead == 0 && word.unclaimed())) return TakeStatus::empty;
        if (ahead == 0 && word.state() == SlotState::ready) return TakeStatus::taken;
        if (ahead == 0 && word.state() == SlotState::writing) {
            if (!wait_for_claimant(cursor, position, word)) return TakeStatus::empty;
            continue;
        }
        // Passed. A slot several laps ahead proves that all but the last lap before it is passed,
        // too: its producer went through there.
        std::uint64_t step = 1;
        if (ahead > 0) {
            const auto laps = static_cast<std::uint64_t>(ahead) - (word.unclaimed() ? 1 : 0);
            if (laps > 0) step = ((laps - 1) << capacity_log2_) + 1;
        }
        position += step;
        cursor.next = position;
    }
}

// An unfinished claim. If a finished message lies beyond it, its producer gets a little time, then
// loses its place: nobody waits for a stopped process. False: nothing beyond, the queue is empty.
bool SlotRing::wait_for_claimant(Cursor& cursor, std::uint64_t position, SlotWord word) {
    if (!ready_beyond(position)) return false;
    skip(cursor, position, word);
    return true;
}

// writing -> skipped, unless the claimant moves within a patience that doubles for it each time.
void SlotRing::skip(Cursor& cursor, std::uint64_t position, SlotWord word) {
    auto& patience = cursor.patience[word.owner() & 15];
    unsigned breaths = patience_least << patience;
    if (breaths > patience_most) breaths = patience_most;
    for (unsigned breath = 0; breath < breaths; ++breath) {
        cpu_relax();
        if (word_at(position) != word) return;
    }
    if (change(index_of(position), word, word.to(SlotState::skipped, word.owner()))) {
        if (cursor.skips != nullptr) bump(*cursor.skips);
        if ((patience_least << patience) < patience_most) ++patience;
    }
}

bool SlotRing::ready_beyond(std::uint64_t position) const {
    const std::uint64_t end = position + capacity();
    for (++position; position != end; ++position) {
        const SlotWord word = word_at(position);
        const std::int64_t ahead = lap_difference(word.lap(), lap_of(position));
        if (ahead < 0 || (ahead == 0 && word.unclaimed())) return false;
        if (ahead == 0 && word.state() == SlotState::ready) return true;
    }
    return false;
}

TakeStatus SlotRing::search_and_take(Cursor& cursor, std::uint16_t owner, Lease& lease) {
    cursor.next = later(cursor.next, hints_.head->load(memory_order_relaxed));
    std::uint64_t position = 0;
    for (;;) {
        if (find_ready(cursor, position) == TakeStatus::empty) return TakeStatus::empty;
        if (take_at(cursor, owner, position, lease)) return TakeStatus::taken;
    }
}

TakeStatus SlotRing::search_and_read(Cursor& cursor, Lease& lease) {
    std::uint64_t position = 0;
    if (find_ready(cursor, position) == TakeStatus::empty) return TakeStatus::empty;
    cursor.next = position + 1;
    lease = {position, SlotWord::ready(lap_of(position))};
    return TakeStatus::taken;
}

bool SlotRing::any_ready(Cursor& cursor, bool shared) {
    if (shared) cursor.next = later(cursor.next, hints_.head->load(memory_order_relaxed));
    std::uint64_t position = 0;
    return find_ready(cursor, position) == TakeStatus::taken;
}

TakeStatus SlotRing::take_returned(std::uint64_t index, std::uint64_t cell, std::uint16_t owner,
                                   Lease& lease) {
    auto& slot_header = slot(index);
    for (;;) {
        const SlotWord word{slot_header.word.load(memory_order_acquire)};  // [3]
        const std::uint64_t sequence = slot_header.sequence.load(memory_order_relaxed);
        if (word.state() != SlotState::returned || word.tag() != cell_tag(cell) ||
            (lap_of(sequence) & lap_mask) != cell_lap(cell) || index_of(sequence) != index) {
            return TakeStatus::empty;
        }
        const SlotWord leased = word.leased_to(owner);
        std::uint64_t expected = word.raw;
        if (slot_header.word.compare_exchange_strong(expected, leased.raw, memory_order_acquire,
                                                     memory_order_relaxed)) {
            lease = {sequence, leased};  // the word was unchanged, so the sequence was the slot's
            return TakeStatus::taken;
        }
    }
}

// ---- Holders -----------------------------------------------------------------------------------

// CAS of the word that we hold to `to(word)`; again if only the lap was bumped meanwhile.
template <typename Change>
HoldStatus SlotRing::change_held(const Lease& lease, Change to) {
    auto& slot_header = slot(lease.sequence);
    std::uint64_t expected = lease.word.raw;
    for (;;) {
        // The exact word of our lease never comes back, so where it stands no more need be
        // compared.
        if (slot_header.word.compare_exchange_strong(expected, to(SlotWord{expected}).raw,
                                                     memory_order_seq_cst,
                                                     memory_order_acquire)) {  // [2] [3]
            return HoldStatus::done;
        }
        if (!SlotWord{expected}.same_lease(lease.word)) return HoldStatus::stale;
        // Our number and our tag in a word: the slot is ours, its sequence cannot change.
        if (slot_header.sequence.load(memory_order_relaxed) != lease.sequence) {
            return HoldStatus::stale;
        }
    }
}

// The exact word was gone: passed over by producers, or no longer ours.
HoldStatus SlotRing::ack_moved(const Lease& lease) {
    return change_held(lease, [](SlotWord word) { return word.freed(); });
}

HoldStatus SlotRing::give_back(const Lease& lease) {
    return change_held(lease, [](SlotWord word) { return word.to(SlotState::returned, 0); });
}

HoldStatus SlotRing::surrender(const Lease& lease) {
    return change_held(lease, [](SlotWord word) { return word.to(SlotState::leased, 0); });
}

// The tag that was counted last is avoided: it would make the next count look done.
HoldStatus SlotRing::extend(Lease& lease, std::uint8_t tag_to_avoid) {
    SlotWord extended;
    const HoldStatus status = change_held(lease, [&](SlotWord word) {
        extended = word.leased_to(word.owner());
        if (extended.tag() == tag_to_avoid) extended = extended.leased_to(word.owner());
        return extended;
    });
    if (status == HoldStatus::done) lease.word = extended;
    return status;
}

HoldStatus SlotRing::lease_read(Lease& lease, std::uint16_t owner) {
    const SlotWord leased = lease.word.leased_to(owner);
    if (!change(index_of(lease.sequence), lease.word, leased)) return HoldStatus::stale;
    lease.word = leased;
    return HoldStatus::done;
}

bool SlotRing::held(const Lease& lease) const {
    const auto& slot_header = slot(lease.sequence);
    const SlotWord word{slot_header.word.load(memory_order_acquire)};
    if (word == lease.word) return true;
    return word.same_lease(lease.word) &&
           slot_header.sequence.load(memory_order_relaxed) == lease.sequence;
}

}  // namespace shmq::shm

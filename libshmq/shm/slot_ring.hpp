// The slot ring: the slot word and its transitions.
//
// Who may change a slot's word, and from what (docs/message_lifecycle.md draws it):
//   any producer P         free(L) -> writing(L,P) -> ready(L) or free(L+1);
//                          skipped(L',P) -> free(L'+1) for its own P;
//                          occupied(L') -> occupied(L'+1) when passing over it;
//                          writing(L-1,Q) -> skipped(L-1,Q) if room lies behind it
//   an exclusive producer  free(L) -> ready(L) by plain store
//   any consumer C         ready(L) -> leased(L,C); returned(L') -> leased(L',C);
//                          writing(L,P) -> skipped(L,P)
//   the holder C           leased(L',C) -> free(L'+1), returned(L'), leased(L',0), leased(tag+1)
//   an exclusive consumer  ready(L) -> free(L+1) by plain store
//   the supervisor         writing, skipped (P dead) -> free(L'+1); leased(L',C) -> leased(L',0);
//                          leased(L',0) -> returned(L') or free(L'+1);
//                          free(L) -> writing(L,0) -> leased(L,0): a message moved to here
//
// In the ingress ring of a queue with a journal (gate.hpp), from which the supervisor alone takes:
//   the supervisor         ready(L) -> free(L+1); free(L) or closed(L) -> closed(L)
//   any producer           closed(L) -> free(L)
//
// Invariants.
// 1. Nobody writes a slot's header or inline payload without owning the slot: writing(P), or free
//    under an exclusive producer.
// 2. Before a producer claims position p, every earlier position is passed: its slot is not free at
//    its lap, or is a lap ahead. So no free slot is left behind, and a consumer that meets one may
//    say "empty".
// 3. No position before `head` holds a ready slot of its lap.
// 4. A whole word never comes back: every free raises the lap, every lease the tag.
//
// Orderings (docs/memory_ordering.md has the table; numbers are its rows):
//   [1] publish releases -> take acquires: payload and header before ready.
//   [2] ack (free) releases -> claim acquires: the last reads before the next writes.
//   [3] give back releases -> take acquires: counts and cell before returned.
// Words are changed with seq_cst rather than release where a wake-up may have to follow; wait.hpp
// has that argument. `head` and `tail` are hints, relaxed: a stale one costs steps, nothing else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "shm/layout.hpp"
#include "shm/slot_word.hpp"

namespace shmq::shm {

// One handle's private way through the ring.
struct Cursor {
    std::uint64_t next = 0;       // everything before it is known to be passed
    std::uint8_t patience[16]{};  // log2 of how much longer to wait, by low bits of the claimant
    Atomic<std::uint64_t>* skips = nullptr;  // counts unfinished claims gone past; its owner's
    // Of the slow searches; the supervisor follows no peer's words for ever.
    std::uint64_t steps_left = UINT64_MAX;
};

// What a consumer holds: proof for ack, give_back, surrender and extend.
struct Lease {
    std::uint64_t sequence = 0;
    SlotWord word;  // as it was when it became ours
    // Read by an exclusive consumer: the ring does not show it.
    bool unmarked() const { return word.state() == SlotState::ready; }
};

// Far enough ahead to hide a hand-over of one line (about 150 ns at 20 ns a message).
constexpr std::uint64_t prefetch_slots = 8;
constexpr std::uint64_t line_bytes = 64;
// `head` and `tail` are stored at every eighth step: a walker behind a stale hint takes at most
// seven more steps, and the line that all share moves an eighth as often.
constexpr std::uint64_t hint_interval = 8;

// Positions of one lap, whose words need not be worked out one by one.
struct LapRun {
    std::uint64_t begin = 0;
    std::uint64_t length = 0;
    SlotWord free;  // the word of each of them while it is free

    bool covers(std::uint64_t position) const { return position - begin < length; }
};

// Two of SegmentHeader's words, or of JournalArea's.
struct RingHints {
    Atomic<std::uint64_t>* head = nullptr;
    Atomic<std::uint64_t>* tail = nullptr;
};

enum class ClaimStatus { claimed, full, closed };
enum class TakeStatus { taken, empty };
enum class HoldStatus { done, stale };

inline std::byte* payload_of(SlotHeader& slot) {
    return reinterpret_cast<std::byte*>(&slot) + sizeof(SlotHeader);
}
// The mapping is the process's own: who reads a payload through `const` may own its slot.
inline SlotHeader& slot_of_payload(const std::byte* payload) {
    return *reinterpret_cast<SlotHeader*>(const_cast<std::byte*>(payload) - sizeof(SlotHeader));
}

class SlotRing {
  public:
    SlotRing() = default;
    SlotRing(std::byte* slots, RingHints hints, std::uint32_t capacity_log2,
             std::uint32_t slot_size_log2)
        : slots_(slots),
          hints_(hints),
          index_mask_((std::uint64_t{1} << capacity_log2) - 1),
          byte_mask_((std::uint64_t{1} << (capacity_log2 + slot_size_log2)) - 1),
          slot_bytes_(std::uint64_t{1} << slot_size_log2),
          capacity_log2_(capacity_log2) {}

    std::uint64_t capacity() const { return index_mask_ + 1; }
    std::uint64_t index_of(std::uint64_t position) const { return position & index_mask_; }
    std::uint64_t lap_of(std::uint64_t position) const { return position >> capacity_log2_; }
    SlotHeader& slot(std::uint64_t position) const {
        // A product: processors multiply faster than they shift by a variable.
        return *reinterpret_cast<SlotHeader*>(slots_ + (position * slot_bytes_ & byte_mask_));
    }
    // The run of positions from `position` to the end of its lap, `most` of them at most.
    LapRun run_from(std::uint64_t position, std::uint64_t most) const {
        return {position, std::min(capacity() - index_of(position), most),
                SlotWord::free(lap_of(position))};
    }
    // The slot that this side will write a few steps from now. Its line is asked for early: else
    // each step waits for a cache line of the other side.
    SlotHeader& slot_ahead(std::uint64_t position) const {
        // Not slot(position + prefetch_slots): so the product is that of slot(position).
        const std::uint64_t ahead = position * slot_bytes_ + prefetch_slots * slot_bytes_;
        return *reinterpret_cast<SlotHeader*>(slots_ + (ahead & byte_mask_));
    }
    void prefetch_beyond(std::uint64_t position) const {
        prefetch_for_write(&slot_ahead(position));
    }
    // As well the second line of slots that have one: of payload that lies in lines further on the
    // processor sees by itself what comes next.
    void prefetch_to_fill(std::uint64_t position) const {
        prefetch_beyond(position);
        if (slots_are_lines()) return;
        const SlotHeader& ahead = slot_ahead(position);
        prefetch_for_write(reinterpret_cast<const std::byte*>(&ahead) + line_bytes);
    }
    bool slots_are_lines() const { return slot_bytes_ <= line_bytes; }
    std::byte* payload(std::uint64_t position) const { return payload_of(slot(position)); }

    // ---- Producers ----
    // Finds the next free position, passing over occupied slots, and leaves it unclaimed: enough
    // for an exclusive producer, who alone may touch it. full: a slot before it still holds a ready
    // message of the last lap, or no slot is free at all. closed: the next one is.
    ClaimStatus find_free(Cursor& cursor, std::uint64_t& position) {
        position = cursor.next;
        if (free_at(position)) [[likely]]
            return ClaimStatus::claimed;
        return search_free(cursor, position);
    }
    bool free_at(std::uint64_t position) const {
        return word_at(position) == SlotWord::free(lap_of(position));
    }
    // The same, then free -> writing(owner) by CAS.
    ClaimStatus claim(Cursor& cursor, std::uint16_t owner, std::uint64_t& position) {
        position = cursor.next;
        if (claim_at(cursor, owner, position)) [[likely]]
            return ClaimStatus::claimed;
        return search_and_claim(cursor, owner, position);
    }
    bool ready_at(std::uint64_t position) const {
        return word_at(position) == SlotWord::ready(lap_of(position));
    }
    // Slots after which the two sides no longer disturb one another.
    std::uint64_t run_length(std::uint64_t most) const { return std::min(capacity() / 4, most); }
    // Claims exactly that position.
    bool claim_at(Cursor& cursor, std::uint16_t owner, std::uint64_t position) {
        return claim_slot(cursor, owner, position, slot(position),
                          SlotWord::free(lap_of(position)));
    }
    // The same, for who knows slot and word already.
    bool claim_slot(Cursor& cursor, std::uint16_t owner, std::uint64_t position, SlotHeader& slot,
                    SlotWord free) {
        std::uint64_t expected = free.raw;
        if (slot.word.load(memory_order_relaxed) != expected ||
            !slot.word.compare_exchange_strong(expected, free.to(SlotState::writing, owner).raw,
                                               memory_order_acquire,
                                               memory_order_relaxed)) {  // [2]
            return false;
        }
        cursor.next = position + 1;
        store_hint(*hints_.tail, position + 1);
        return true;
    }
    // writing -> ready. False: the claim was skipped; the slot was given up, send again. `free`:
    // its word before it was claimed.
    bool publish(std::uint64_t position, std::uint16_t owner, SlotHeader& slot, SlotWord free) {
        if (change(slot, free.to(SlotState::writing, owner), free.to(SlotState::ready, 0)))
            [[likely]] {
            return true;  // [1]
        }
        abandon(position, owner);
        return false;
    }
    bool publish(std::uint64_t position, std::uint16_t owner) {
        return publish(position, owner, slot(position), SlotWord::free(lap_of(position)));
    }
    // free -> ready by the exclusive producer.
    static void publish_exclusive(SlotHeader& slot, SlotWord free) {
        slot.word.store(free.to(SlotState::ready, 0).raw, memory_order_release);
    }
    // writing or skipped -> free: the claim never happened.
    void abandon(std::uint64_t position, std::uint16_t owner);

    // ---- Consumers ----
    // The oldest ready message becomes `owner`'s by CAS.
    TakeStatus take(Cursor& cursor, std::uint16_t owner, Lease& lease) {
        if (take_at(cursor, owner, cursor.next, lease)) [[likely]]
            return TakeStatus::taken;
        return search_and_take(cursor, owner, lease);
    }
    // Takes exactly that position.
    bool take_at(Cursor& cursor, std::uint16_t owner, std::uint64_t position, Lease& lease) {
        return take_slot(cursor, owner, position, slot(position), SlotWord::ready(lap_of(position)),
                         lease);
    }
    bool take_slot(Cursor& cursor, std::uint16_t owner, std::uint64_t position, SlotHeader& slot,
                   SlotWord ready, Lease& lease) {
        auto& word = slot.word;
        const SlotWord leased = ready.leased_to(owner);
        std::uint64_t expected = ready.raw;
        if (word.load(memory_order_relaxed) != expected ||
            !word.compare_exchange_strong(expected, leased.raw, memory_order_acquire,
                                          memory_order_relaxed)) {  // [1]
            return false;
        }
        cursor.next = position + 1;
        store_hint(*hints_.head, position + 1);
        lease = {position, leased};
        return true;
    }
    // The exclusive consumer's next message, without a mark in the ring; `lease.word` is ready.
    TakeStatus read(Cursor& cursor, Lease& lease) {
        if (read_at(cursor, lease)) [[likely]]
            return TakeStatus::taken;
        return search_and_read(cursor, lease);
    }
    // The same, if it is ready where the cursor stands.
    bool read_at(Cursor& cursor, Lease& lease) const {
        const SlotWord ready = SlotWord::ready(lap_of(cursor.next));
        if (word_at(cursor.next) != ready) return false;  // [1]
        lease = {cursor.next++, ready};
        return true;
    }
    // Whether `take` or `read` would find one; leaves it, and the cursor in front of it.
    bool any_ready(Cursor& cursor, bool shared);
    // returned -> leased by CAS, if the slot still is as the cell said.
    TakeStatus take_returned(std::uint64_t index, std::uint64_t cell, std::uint16_t owner,
                             Lease& lease);

    // ---- Holders ---- (stale: the lease is no longer ours, nothing changed)
    HoldStatus ack(const Lease& lease) {
        return ack_at(lease) ? HoldStatus::done : ack_moved(lease);
    }
    // The same, if no producer has passed over the slot meanwhile; and if one has.
    bool ack_at(const Lease& lease) {
        return change(lease.sequence, lease.word, lease.word.freed());  // [2]
    }
    HoldStatus ack_moved(const Lease& lease);
    HoldStatus give_back(const Lease& lease);  // -> returned; its cell must be written before
    HoldStatus surrender(const Lease& lease);  // -> leased(0): the supervisor decides
    HoldStatus extend(Lease& lease, std::uint8_t tag_to_avoid);
    // ready -> leased by the exclusive consumer that has read it: needed before it gives back.
    HoldStatus lease_read(Lease& lease, std::uint16_t owner);
    // ready -> free by the exclusive consumer that has read it.
    static HoldStatus ack_read(SlotHeader& slot, SlotWord ready) {
        if (slot.word.load(memory_order_relaxed) != ready.raw) return HoldStatus::stale;
        slot.word.store(ready.freed().raw, memory_order_release);  // [2]
        return HoldStatus::done;
    }
    bool held(const Lease& lease) const;

    // ---- Everybody ----
    // Whether a ready slot lies beyond `position`, with nothing free between.
    bool ready_beyond(std::uint64_t position) const;
    // Changes exactly `from` to `to`.
    bool change(std::uint64_t position, SlotWord from, SlotWord to) {
        return change(slot(position), from, to);
    }
    static bool change(SlotHeader& slot, SlotWord from, SlotWord to) {
        std::uint64_t expected = from.raw;
        return slot.word.compare_exchange_strong(expected, to.raw, memory_order_seq_cst,
                                                 memory_order_relaxed);
    }
    SlotWord word_at(std::uint64_t position) const {
        return {slot(position).word.load(memory_order_acquire)};
    }

  private:
    static void store_hint(Atomic<std::uint64_t>& hint, std::uint64_t position) {
        if (position % hint_interval == 0) hint.store(position, memory_order_relaxed);
    }
    ClaimStatus search_free(Cursor& cursor, std::uint64_t& position);
    ClaimStatus search_and_claim(Cursor& cursor, std::uint16_t owner, std::uint64_t& position);
    TakeStatus search_and_take(Cursor& cursor, std::uint16_t owner, Lease& lease);
    TakeStatus search_and_read(Cursor& cursor, Lease& lease);
    bool pass_over(Cursor& cursor, std::uint64_t position);
    void skip(Cursor& cursor, std::uint64_t position, SlotWord word);
    bool wait_for_claimant(Cursor& cursor, std::uint64_t position, SlotWord word);
    TakeStatus find_ready(Cursor& cursor, std::uint64_t& position);
    template <typename Change>
    HoldStatus change_held(const Lease& lease, Change to);

    std::byte* slots_ = nullptr;
    RingHints hints_;
    std::uint64_t index_mask_ = 0;
    std::uint64_t byte_mask_ = 0;
    std::uint64_t slot_bytes_ = 0;
    std::uint32_t capacity_log2_ = 0;
};

}  // namespace shmq::shm

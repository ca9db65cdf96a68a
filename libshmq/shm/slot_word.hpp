// The slot's word and the words beside the slots: their bits, and nothing that acts on them.
//
//   63             28 27    20 19          4 3     0
//   [     lap:36     |  tag:8 |  owner:16   | state:4 ]
//
// lap:   which time round the ring; laps compare modulo 2^36. Raised by every free, so a whole word
//        never comes back (while a process sleeps through fewer than 2^36 laps).
// tag:   which lease of this message; 0 when free, +1 at every delivery and every extend.
// owner: participant that holds the slot; 0 is the supervisor, or nobody.
// A position is lap * capacity + index, as a full 64-bit number: it does not wrap; the word keeps
// the low 36 bits of its lap.
#pragma once

#include <cstdint>

namespace shmq::shm {

enum class SlotState : std::uint8_t {
    free = 0,      // of this lap: may be claimed
    writing = 1,   // claimed, content under way
    skipped = 2,   // the claim was passed over: its producer must send again
    ready = 3,     // never delivered
    leased = 4,    // delivered to its owner; owner 0: the supervisor decides
    returned = 5,  // to be delivered again
    closed = 7,    // ingress only: nobody sends here until the gate says so
};

constexpr unsigned lap_bits = 36;
constexpr std::uint64_t lap_mask = (std::uint64_t{1} << lap_bits) - 1;

struct SlotWord {
    std::uint64_t raw = 0;

    static constexpr SlotWord make(std::uint64_t lap, std::uint8_t tag, std::uint16_t owner,
                                   SlotState state) {
        return {(lap & lap_mask) << 28 | std::uint64_t{tag} << 20 | std::uint64_t{owner} << 4 |
                static_cast<std::uint64_t>(state)};
    }
    static constexpr SlotWord free(std::uint64_t lap) { return make(lap, 0, 0, SlotState::free); }
    static constexpr SlotWord ready(std::uint64_t lap) { return make(lap, 0, 0, SlotState::ready); }

    constexpr std::uint64_t lap() const { return raw >> 28; }
    constexpr std::uint8_t tag() const { return static_cast<std::uint8_t>(raw >> 20); }
    constexpr std::uint16_t owner() const { return static_cast<std::uint16_t>(raw >> 4); }
    constexpr SlotState state() const { return static_cast<SlotState>(raw & 15); }

    // A closed slot carries the gate's epoch in place of tag and owner.
    static constexpr SlotWord closed(std::uint64_t lap, std::uint32_t epoch) {
        return make(lap, static_cast<std::uint8_t>(epoch >> 16), static_cast<std::uint16_t>(epoch),
                    SlotState::closed);
    }
    constexpr std::uint32_t epoch() const { return std::uint32_t{tag()} << 16 | owner(); }

    // The word that frees this slot.
    constexpr SlotWord freed() const { return free(lap() + 1); }
    constexpr SlotWord with_lap(std::uint64_t lap) const {
        return make(lap, tag(), owner(), state());
    }
    constexpr SlotWord to(SlotState state, std::uint16_t owner) const {
        constexpr std::uint64_t below_tag = (std::uint64_t{1} << 20) - 1;
        return {(raw & ~below_tag) | std::uint64_t{owner} << 4 | static_cast<std::uint64_t>(state)};
    }
    // A new lease: by delivery or by extend.
    constexpr SlotWord leased_to(std::uint16_t owner) const {
        return make(lap(), static_cast<std::uint8_t>(tag() + 1), owner, SlotState::leased);
    }
    // Whether this is the same lease as `other`, however often producers passed over the slot.
    constexpr bool same_lease(SlotWord other) const {
        constexpr std::uint64_t below_lap = (std::uint64_t{1} << 28) - 1;
        return (raw & below_lap) == (other.raw & below_lap);
    }
    // Producers of the next lap go past these; anything else older means the ring is full.
    constexpr bool occupied() const {
        return state() == SlotState::leased || state() == SlotState::returned ||
               state() == SlotState::skipped;
    }

    constexpr bool unclaimed() const {
        return state() == SlotState::free || state() == SlotState::closed;
    }

    constexpr bool operator==(const SlotWord&) const = default;
};

// a - b for laps, modulo 2^36: in [-2^35, 2^35).
constexpr std::int64_t lap_difference(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>((a - b) << (64 - lap_bits)) >> (64 - lap_bits);
}
static_assert(lap_difference(0, lap_mask) == 1);
static_assert(lap_difference(lap_mask, 0) == -1);
static_assert(SlotWord::free(lap_mask).freed() == SlotWord::free(0));

// Whether position a comes after position b; right across the wrap of 64 bits, too.
constexpr bool after(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>(a - b) > 0;
}
constexpr std::uint64_t later(std::uint64_t a, std::uint64_t b) {
    return after(a, b) ? a : b;
}

// A cell of the returned map: { lap:36 | tag:8 | version:19 | set:1 }.
constexpr std::uint64_t cell_version_mask = 0xffffe;
constexpr bool cell_set(std::uint64_t cell) {
    return (cell & 1) != 0;
}
constexpr std::uint64_t cleared_cell(std::uint64_t cell) {
    return cell & cell_version_mask;
}
constexpr std::uint64_t returned_cell(std::uint64_t before, std::uint64_t lap, std::uint8_t tag) {
    return (lap & lap_mask) << 28 | std::uint64_t{tag} << 20 | ((before + 2) & cell_version_mask) |
           1;
}
// Whether the cell speaks of that lease of that message.
constexpr bool cell_means(std::uint64_t cell, std::uint64_t lap, std::uint8_t tag) {
    return cell_set(cell) && cell >> 20 == ((lap & lap_mask) << 8 | tag);
}
constexpr std::uint64_t cell_lap(std::uint64_t cell) {
    return cell >> 28;
}
constexpr std::uint8_t cell_tag(std::uint64_t cell) {
    return static_cast<std::uint8_t>(cell >> 20);
}

// How often a message was delivered in vain.
struct Attempts {
    std::uint64_t lap = 0;
    std::uint32_t deliveries = 0;
    std::uint32_t failures = 0;
    std::uint8_t tag = 0;  // of the lease counted last

    static constexpr Attempts unpack(std::uint64_t raw) {
        return {raw >> 28, static_cast<std::uint32_t>(raw >> 18) & 1023,
                static_cast<std::uint32_t>(raw >> 8) & 1023, static_cast<std::uint8_t>(raw)};
    }
    constexpr std::uint64_t pack() const {
        return (lap & lap_mask) << 28 | std::uint64_t{deliveries} << 18 |
               std::uint64_t{failures} << 8 | tag;
    }
    constexpr bool operator==(const Attempts&) const = default;
};

// A producer's count of messages it dropped to make room, with the slot (+ 1; 0: none) that it is
// about to free for the next one: whoever finds it dead knows whether that one must be counted.
struct DropCount {
    std::uint64_t dropped = 0;
    std::uint64_t slot_plus_one = 0;

    static constexpr unsigned slot_bits = 25;
    static constexpr DropCount unpack(std::uint64_t raw) {
        return {raw >> slot_bits, raw & ((std::uint64_t{1} << slot_bits) - 1)};
    }
    constexpr std::uint64_t pack() const { return dropped << slot_bits | slot_plus_one; }
};

enum class NoteKind : std::uint8_t {
    none = 0,
    deadline = 1,  // value: when the lease ends
    rejected = 2,  // value: by which participant
    damaged = 3,
    delayed = 4,    // by the supervisor, counted; value: when it is due to be returned
    nacked = 5,     // to be returned after the queue's retry delay
    postponed = 7,  // to be returned then; value as with delayed, which it becomes
    taken = 8,      // by hand, from those that wait: nobody's delivery
    moving = 6,     // it comes from another queue: SegmentHeader::incoming says from where
};

// Deadlines and due times have a grain of 4 ms and compare modulo 2^32 grains (198 days).
constexpr std::int64_t note_grain_ns = 4'000'000;

// The first grain that is not before `time`.
constexpr std::uint32_t grain_at(std::uint64_t time) {
    constexpr auto grain = static_cast<std::uint64_t>(note_grain_ns);
    return static_cast<std::uint32_t>((time + grain - 1) / grain);
}
// How long from `now` until that grain has come; 0: it has.
constexpr std::int64_t until_grain(std::uint32_t grain, std::int64_t now) {
    const auto ahead =
        static_cast<std::int32_t>(grain - static_cast<std::uint32_t>(now / note_grain_ns));
    return ahead <= 0 ? 0 : ahead * note_grain_ns - now % note_grain_ns;
}

struct Note {
    std::uint64_t lap = 0;  // low 20 bits
    std::uint8_t tag = 0;
    NoteKind kind = NoteKind::none;
    std::uint32_t value = 0;

    static constexpr Note unpack(std::uint64_t raw) {
        return {raw >> 44, static_cast<std::uint8_t>(raw >> 36),
                static_cast<NoteKind>(raw >> 32 & 15), static_cast<std::uint32_t>(raw)};
    }
    constexpr std::uint64_t pack() const {
        return (lap & 0xfffff) << 44 | std::uint64_t{tag} << 36 |
               static_cast<std::uint64_t>(kind) << 32 | value;
    }
    constexpr bool speaks_of(std::uint64_t sequence_lap, std::uint8_t lease_tag) const {
        return kind != NoteKind::none && lap == (sequence_lap & 0xfffff) && tag == lease_tag;
    }
};

}  // namespace shmq::shm

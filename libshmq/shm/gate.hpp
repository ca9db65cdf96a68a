// The gate of a queue with a journal: which way messages go.
//
//   word = { epoch:62 | state:2 }, changed by CAS only, each change the next epoch
//
//   direct    into the front ring. Who finds it full sets journal.
//   journal   into the ingress ring, which the supervisor alone empties: into the log, or straight
//             into the front ring while the log is empty.
//   closing   the same, while the supervisor, who found both empty, closes the ingress: it sets the
//             next free slot to closed, with this epoch in it, then the gate to direct.
// A producer that meets a closed slot reads the gate: direct: the front ring. closing: it sets
// journal. journal: it opens the slot, if that was closed in an older epoch. Then it starts again.
//
// docs/decisions/0041 has the reasons, tests/model/gate.pml the model. Queues without a journal
// stand on direct, epoch 0; durable ones never leave journal.
#pragma once

#include <cstdint>

#include "shm/layout.hpp"
#include "shm/slot_word.hpp"

namespace shmq::shm {

enum class GateState : std::uint8_t { direct = 0, journal = 1, closing = 2 };

struct GateWord {
    std::uint64_t raw = 0;

    static constexpr GateWord make(std::uint64_t epoch, GateState state) {
        return {epoch << 2 | static_cast<std::uint64_t>(state)};
    }
    constexpr GateState state() const { return static_cast<GateState>(raw & 3); }
    constexpr std::uint64_t epoch() const { return raw >> 2; }
    // What a closed slot carries of it.
    constexpr std::uint32_t mark() const { return static_cast<std::uint32_t>(epoch()) & mark_mask; }
    constexpr GateWord to(GateState state) const { return make(epoch() + 1, state); }
    constexpr bool operator==(const GateWord&) const = default;

    static constexpr std::uint32_t mark_mask = (1u << 24) - 1;
};

// Whether a slot was closed before this epoch; right while it is less than 2^23 epochs ago.
constexpr bool closed_before(SlotWord closed, GateWord gate) {
    const std::uint32_t ahead = (gate.mark() - closed.epoch()) & GateWord::mark_mask;
    return ahead != 0 && ahead < (1u << 23);
}

// [11] Who sees a state sees what its setter saw; a send into either ring follows the look.
inline GateWord look_at_gate(const SegmentHeader& header) {
    return {header.gate.load(memory_order_acquire)};
}
inline bool gate_is_direct(const SegmentHeader& header) {
    return look_at_gate(header).state() == GateState::direct;
}
// False: somebody else changed it first.
inline bool change_gate(SegmentHeader& header, GateWord from, GateState to) {
    std::uint64_t expected = from.raw;
    return header.gate.compare_exchange_strong(expected, from.to(to).raw, memory_order_seq_cst,
                                               memory_order_relaxed);
}

}  // namespace shmq::shm

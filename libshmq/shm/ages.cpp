#include "shm/ages.hpp"

#include <algorithm>

#include "shm/given_numbers.hpp"
#include "shm/queue.hpp"

namespace shmq::shm {
namespace {

// Up to this position an exclusive consumer has read; what is ready before it is in its hands.
std::uint64_t read_position(const QueueView& view) {
    std::uint64_t position = 0;
    if (!view.geometry->has(exclusive_consumer)) return position;
    const std::uint32_t end =
        given_numbers_end(view.participants, view.geometry->shape.participants);
    for (std::uint32_t number = 1; number < end; ++number) {
        const ParticipantRecord& record = view.participants[number];
        if (record.role.load(memory_order_relaxed) != static_cast<std::uint32_t>(Role::consumer))
            continue;
        position = std::max(position, record.read_position.load(memory_order_relaxed));
    }
    return position;
}

}  // namespace

Ages ages_of(const Segment& segment, Nanoseconds now) {
    if (segment.untouched()) return {};
    const QueueView view(segment.ring_base(), nullptr, segment.geometry());
    const std::uint64_t read = read_position(view);
    Ages ages;
    for (std::uint64_t index = 0; index < view.ring.capacity(); ++index) {
        const SlotHeader& slot = view.ring.slot(index);
        const SlotState state = view.ring.word_at(index).state();
        const bool waits = state == SlotState::ready || state == SlotState::returned;
        if (!waits && state != SlotState::leased) continue;
        const auto sent_at =
            static_cast<Nanoseconds>(slot.timestamp.load(memory_order_relaxed) & INT64_MAX);
        // At least a nanosecond: it is there.
        const auto age = static_cast<std::uint64_t>(std::max<Nanoseconds>(1, now - sent_at));
        const bool in_hand = !waits || (state == SlotState::ready &&
                                        slot.sequence.load(memory_order_relaxed) < read);
        std::uint64_t& oldest = in_hand ? ages.oldest_unacked_ns : ages.oldest_ready_ns;
        oldest = std::max(oldest, age);
    }
    return ages;
}

}  // namespace shmq::shm

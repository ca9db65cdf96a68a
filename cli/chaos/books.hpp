// The books of a total-queue test: what producers sent and consumers did with it, kept in memory
// that survives every process but the test itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace shmq::chaos {

constexpr std::uint32_t producers_most = 64;

// Marks of one message; each set once, by whoever did it, before or after the step it names.
enum Mark : std::uint8_t {
    sending = 1,    // before send
    sent = 2,       // after send returned
    delivered = 4,  // at a delivery
    acking = 8,     // before ack
    acked = 16,     // after ack returned
};

struct Books {
    std::uint32_t messages_most;                        // of one producer; a byte each
    std::atomic<std::uint32_t> next[producers_most];    // first index never tried
    std::atomic<std::uint32_t> newest[producers_most];  // index + 1 of the latest first delivery
    std::atomic<std::uint64_t> deliveries;
    std::atomic<std::uint64_t> duplicates;           // deliveries that were not the first
    std::atomic<std::uint64_t> unmarked_duplicates;  // of those, without the redelivered mark
    std::atomic<std::uint64_t> after_ack;            // deliveries of what was acked
    std::atomic<std::uint64_t> damaged;              // content that is not what was sent
    std::atomic<std::uint64_t> nacks;
    std::atomic<std::uint64_t> stale;
    std::atomic<std::uint64_t> errors;  // that a producer or consumer saw
    std::atomic<bool> stop_producing;
    std::atomic<bool> stop_consuming;

    // In memory shared with children, for good. Throws std::bad_alloc.
    static Books& create(std::uint32_t producers, std::uint32_t messages_most);

    std::atomic<std::uint8_t>& marks(std::uint32_t producer, std::uint32_t index) {
        return first_mark[std::size_t{producer} * messages_most + index];
    }
    std::uint8_t marks(std::uint32_t producer, std::uint32_t index) const {
        return first_mark[std::size_t{producer} * messages_most + index];
    }
    std::atomic<std::uint8_t>* first_mark;
};

struct Totals {
    std::uint64_t sent = 0;        // sends begun
    std::uint64_t confirmed = 0;   // send returned
    std::uint64_t unfinished = 0;  // killed in send: may or may not have happened
    std::uint64_t delivered = 0;   // messages delivered at least once
    std::uint64_t acked = 0;       // ack returned, or its consumer was killed in ack
    std::uint64_t recovered = 0;   // unfinished sends that arrived
    std::uint64_t lost = 0;        // confirmed, and neither delivered nor in the queue
    std::uint64_t unacked = 0;     // confirmed, delivered, never acked
};

// REQUIRES: all processes have ended and the queue is empty.
Totals add_up(const Books& books);
std::string describe(const Totals& totals, const Books& books);

}  // namespace shmq::chaos

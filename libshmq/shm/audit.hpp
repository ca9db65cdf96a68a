// A read-only walk over a queue that proves every invariant, counts its states, and reads messages
// without disturbing them. For tests, `shmq peek`, `shmq pending` and the daemon's books; works on
// any mapping, of a living, hung or dead queue, whoever is running.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shm/layout.hpp"
#include "shm/queue.hpp"
#include "shm/segment.hpp"

namespace shmq::shm {

struct StateCounts {
    std::uint64_t ready = 0;
    std::uint64_t leased = 0;    // in a consumer's hands (read by an exclusive one, too)
    std::uint64_t deciding = 0;  // in the supervisor's hands: held, or about to be decided on
    std::uint64_t delayed = 0;   // until their time has come
    std::uint64_t returned = 0;
    std::uint64_t arrived = 0;  // on their way into the journal, or through it
    std::uint64_t writing = 0;  // unfinished sends, skipped ones included
    std::uint64_t blocks_used = 0;
    std::uint64_t bytes = 0;  // payload of ready, leased and returned messages
};

// A participant's record as of one look.
struct ParticipantView {
    std::uint16_t number = 0;
    ParticipantState state{};
    Role role{};
    bool exclusive = false;
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::uint32_t generation = 0;
    std::uint64_t attached_at = 0;  // monotonic ns
    std::uint64_t sent = 0, delivered = 0, acked = 0, redelivered = 0, sleeps = 0;
};

// Sums over all participants, past ones included.
struct TotalCounts {
    std::uint64_t sent = 0, sent_bytes = 0, delivered = 0, delivered_bytes = 0, redelivered = 0;
    std::uint64_t acked = 0, nacked = 0, rejected = 0, extended = 0, stale = 0, dropped_oldest = 0;
    std::uint64_t dropped_rejected = 0, dropped_damaged = 0, dropped_failed = 0, purged = 0;
    std::uint64_t expired = 0;
    std::uint64_t dead_rejected = 0, dead_expired = 0, dead_crashed = 0, dead_limit = 0;
    std::uint64_t moved_in = 0, redriven = 0;
    std::uint64_t reclaimed_leases = 0, reclaimed_claims = 0, reclaimed_blocks = 0;
    std::uint64_t reclaimed_parties = 0;
    std::uint32_t producers = 0, consumers = 0;  // attached now
};

// One message as seen from outside; content is a copy that was whole when taken.
struct MessageView {
    std::uint64_t sequence = 0;
    std::uint64_t timestamp = 0;  // monotonic ns
    SlotState state{};
    std::uint16_t owner = 0;  // participant that holds it; 0: nobody or the supervisor
    std::uint32_t deliveries = 0, failures = 0;
    std::uint64_t length = 0;
    bool held = false;               // leased(0), and not delayed: somebody must decide
    bool delayed = false;            // leased(0) until its time has come
    bool redriven = false;           // from a dead-letter queue
    std::vector<std::byte> content;  // up to the asked number of bytes
    std::optional<DeadLetterRecord>
        history;  // texts ended, numbers as a peer may have written them
};

// Why a message is dead, as users read it: rejected, expired, max-deliveries, crashed:SIGSEGV, ...
std::string dead_reason(const DeadLetterRecord& record);

StateCounts count_states(const Segment& segment);
TotalCounts count_totals(const Segment& segment);
std::vector<ParticipantView> list_participants(const Segment& segment);
// Messages in delivery order (returned ones first), ready and returned, or leased ones.
// Needs the pool mapped to show contents of large messages (else content is empty).
std::vector<MessageView> peek(const Segment& segment, std::size_t most, std::size_t content_bytes);
std::vector<MessageView> pending(const Segment& segment, std::size_t most);
// The history behind a payload in a block; nothing if it makes no sense.
std::optional<DeadLetterRecord> read_history(const std::byte* payload, std::uint64_t length,
                                             std::uint64_t block_bytes);

// Every violation found, as sentences; empty: the segment is sound. `quiescent` adds what holds
// only while nobody is in the middle of a step.
std::vector<std::string> audit(const Segment& segment, bool quiescent);

}  // namespace shmq::shm

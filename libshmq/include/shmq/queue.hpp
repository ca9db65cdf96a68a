// A queue's name, its options, and what can be known about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <shmq/durability.hpp>
#include <shmq/error.hpp>

namespace shmq {

// What send does when there is no room, in the ring or in the pool.
enum class Overflow : std::uint32_t {
    block,        // wait for room, up to the caller's deadline
    reject,       // answer Condition::full at once
    drop_oldest,  // drop the oldest ready messages, counted; not with an exclusive consumer
    spill,        // put it on disk, whence it comes back in order: the queue has a journal
};

// What send does when a queue with a journal finds no room on the disk either.
enum class WhenFull : std::uint32_t {
    block,   // wait for room, up to the caller's deadline
    reject,  // answer Condition::full at once
};

// Where a queue with a journal puts what is sent.
enum class GateState : std::uint32_t {
    none,     // no journal
    direct,   // into the ring
    journal,  // past the ring: into the journal, or behind what waits there
    closing,  // what waited there has gone: about to be direct
};

enum class JournalState : std::uint32_t {
    none,        // no journal
    ok,          // it is written to as it should be
    no_room,     // the disk, or spill_limit, has none: WhenFull decides; it goes on by itself
    failed,      // the disk failed: nothing is logged or durable any more
    recovering,  // a new daemon reads what it holds; who wants to attach waits for that
};

// Zero or nullopt means: the default that is named. Sizes are in bytes.
struct QueueOptions {
    // ---- Behaviour ----
    // Largest message. Default 1 MiB, at most 512 MiB.
    std::uint64_t max_message = 0;
    Overflow overflow = Overflow::block;
    // Bytes on disk that the journal may take; only with one (Overflow::spill, or a durability
    // other than accepted). 0: as much as the disk allows.
    std::uint64_t spill_limit = 0;
    // Only with a journal.
    WhenFull when_full = WhenFull::block;
    // Of every message of this queue, in time; send itself returns when it is accepted. Logged and
    // durable: all messages go through the journal, and overflow is spill; no other may be named.
    Durability durability = Durability::accepted;
    // How long a consumer may hold a message before it is offered to another; renewed by extend.
    // It guards against consumers that hang: the dead are noticed at once. Default 30 s, 10 ms to
    // 7 days.
    std::chrono::nanoseconds lease{0};
    // Failed deliveries (its consumer crashed or let the lease run out) after which a message goes
    // to the dead-letter queue. Default 20, at most 1023; 0: no limit.
    std::optional<std::uint32_t> max_deliveries = std::nullopt;
    // Queue for messages that failed too often or were rejected; made when the first one comes,
    // with the owner, mode and limits of this one. Default: this queue's name and `.dlq` (none for
    // a queue whose own name ends so). Empty: none; such messages are dropped, and counted.
    std::optional<std::string> dead_letter = std::nullopt;
    // How long a message waits after a failure, or a nack without a delay of its own, before it is
    // offered again; doubled each time up to retry_delay_max (default: not doubled). 0: not at all.
    // At most 30 days.
    std::chrono::nanoseconds retry_delay{0};
    std::chrono::nanoseconds retry_delay_max{0};
    // Leases do not run out while the process that holds them is stopped: by a signal, in a
    // debugger, or in a frozen cgroup. It gets its whole lease anew when it goes on.
    bool pause_stopped = false;
    // Only one producer, or one consumer, at a time: faster, and for the consumer, in order with
    // cumulative ack. A stopped holder of an exclusive role does hold its role.
    bool exclusive_producer = false;
    bool exclusive_consumer = false;
    // Time stamps exact to the nanosecond instead of the last timer tick (1 to 4 ms).
    bool exact_timestamps = false;
    // Who may do what: 0400 manage, 0200 produce, 0100 consume for the owner; the same for group
    // (0070) and others (0007). Default 0700. The owner is who creates; root may everything.
    std::uint32_t mode = 0700;
    // Group that the group bits speak of: a number; default the creator's.
    std::optional<std::uint32_t> group = std::nullopt;

    // ---- Performance ----
    // Slots of the ring, a power of two, 64 to 16 Mi. Default 1024.
    std::uint64_t capacity = 0;
    // 64, 128, 256 or 512. A message of up to slot_size - 32 bytes travels in its slot, a larger
    // one in a block of the pool, of 1 KiB at least: where most messages are a little larger than a
    // slot, larger slots save most of the pool. Default 64.
    std::uint32_t slot_size = 0;
    // Shared memory for payloads that do not fit a slot: an upper bound, touched lazily.
    // Default 64 MiB, or four times max_message where that is more.
    std::uint64_t pool = 0;
    // Unacked messages a consumer may hold; less while many consumers share half the ring.
    // Default 64.
    std::uint32_t in_flight = 0;
};

// What Client::edit changes of a queue that exists; what is not said stays. The rest of
// QueueOptions cannot change: memory is laid out by it, or attached programs rely on it.
struct QueueChanges {
    std::optional<std::chrono::nanoseconds> lease = std::nullopt;  // of leases seen from now on
    std::optional<std::uint32_t> in_flight = std::nullopt;
    std::optional<std::uint32_t> max_deliveries = std::nullopt;  // 0: no limit
    std::optional<std::string> dead_letter = std::nullopt;       // empty: none
    // 0: none. Saying the first alone leaves the second in its place, where it doubled before.
    std::optional<std::chrono::nanoseconds> retry_delay = std::nullopt;
    std::optional<std::chrono::nanoseconds> retry_delay_max = std::nullopt;  // 0: not doubled
    std::optional<bool> pause_stopped = std::nullopt;
    std::optional<std::uint32_t> mode = std::nullopt;  // those who are attached stay so
    std::optional<std::uint32_t> group = std::nullopt;
    std::optional<std::uint32_t> owner = std::nullopt;  // for root, and whom the daemon runs as
    std::optional<Overflow> overflow = std::nullopt;    // block or reject, where it is one of them
    std::optional<std::uint64_t> spill_limit =
        std::nullopt;                                  // with a journal; 0: as the disk allows
    std::optional<WhenFull> when_full = std::nullopt;  // with a journal
};

// Whom a pause is for.
enum class Side : std::uint32_t { both, producers, consumers };

// Counts and totals as of one look; see docs/message_lifecycle.md for the states.
struct QueueInfo {
    std::string name;
    QueueOptions options;  // as in force, no zeros
    std::uint32_t owner_uid = 0;
    std::uint32_t group_gid = 0;
    bool quarantined = false;
    bool producers_paused = false;  // their calls wait, or answer Condition::paused
    bool consumers_paused = false;

    std::uint64_t ready = 0;     // waiting for their first delivery, spilled ones included
    std::uint64_t leased = 0;    // held by consumers
    std::uint64_t returned = 0;  // waiting to be delivered again
    std::uint64_t delayed = 0;   // waiting until they are due to be delivered again
    std::uint64_t held = 0;      // waiting for room in the dead-letter queue
    std::string alarm;           // what somebody has to look after; empty: nothing

    // Zeros and `none` without a journal.
    GateState gate = GateState::none;
    JournalState journal = JournalState::none;
    std::uint64_t spilled = 0;        // in the journal, and not in the ring
    std::uint64_t spilled_bytes = 0;  // payloads of those
    std::uint64_t journal_bytes = 0;  // that the journal's files take on disk
    std::uint64_t syncs = 0;          // of the journal's files
    std::uint64_t logged = 0;         // messages so far that were written to the journal
    std::uint64_t durable = 0;        // messages so far that were synced
    // While `journal` is recovering: bytes of its files, 0 if not known yet, and how many were
    // read.
    std::uint64_t recovery_bytes = 0;
    std::uint64_t recovered_bytes = 0;

    std::uint64_t sent = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t delivered = 0;  // every delivery
    std::uint64_t acked = 0;
    std::uint64_t redelivered = 0;
    std::uint64_t dropped = 0;  // every message not delivered, whatever the reason:
    std::uint64_t dropped_oldest = 0;
    std::uint64_t dropped_rejected = 0;
    std::uint64_t dropped_damaged = 0;
    std::uint64_t dropped_failed = 0;  // too often, and there is no dead-letter queue
    std::uint64_t purged = 0;          // by hand; not in `dropped`
    std::uint64_t expired = 0;         // leases that ran out
    std::uint64_t reclaimed = 0;       // messages given back for participants that died or hung up

    std::uint64_t dead_lettered = 0;  // moved to the dead-letter queue, whatever the reason:
    std::uint64_t dead_rejected = 0;
    std::uint64_t dead_expired = 0;
    std::uint64_t dead_crashed = 0;
    std::uint64_t dead_limit = 0;  // how the last delivery failed is not known
    std::uint64_t moved_in = 0;    // came from another queue: dead letters, or redriven ones
    std::uint64_t redriven = 0;    // moved out by hand

    std::uint32_t producers = 0;
    std::uint32_t consumers = 0;
    std::uint64_t memory_bytes = 0;  // of the segment and the pool, at most
};

// Empty if `name` may name a queue, else what is wrong with it. A name has 1 to 255 bytes: letters,
// digits, `.`, `_`, `-`, and `/` between, where no part is empty, `.` or `..`.
SHMQ_EXPORT std::string check_queue_name(std::string_view name);

}  // namespace shmq

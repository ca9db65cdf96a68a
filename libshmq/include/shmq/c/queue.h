// A queue's options, and what can be known about it.
#ifndef SHMQ_C_QUEUE_H
#define SHMQ_C_QUEUE_H

#include <shmq/c/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a message is safe from. Each level includes the one before.
typedef enum shmq_durability {
    SHMQ_ACCEPTED = 0,  // in the queue's memory: survives any client and the daemon
    SHMQ_LOGGED = 1,    // written to the journal: survives every process, not the kernel
    SHMQ_DURABLE = 2    // synced to the disk: survives power loss
} shmq_durability;

// What a send does when there is no room, in the ring or in the pool.
typedef enum shmq_overflow {
    SHMQ_OVERFLOW_BLOCK = 0,        // wait for room, up to the caller's timeout
    SHMQ_OVERFLOW_REJECT = 1,       // answer SHMQ_FULL at once
    SHMQ_OVERFLOW_DROP_OLDEST = 2,  // drop the oldest ready messages, counted
    SHMQ_OVERFLOW_SPILL = 3         // put it on disk, whence it comes back in order
} shmq_overflow;

// What a send does when a queue with a journal finds no room on the disk either.
typedef enum shmq_when_full {
    SHMQ_WHEN_FULL_BLOCK = 0,  // wait for room, up to the caller's timeout
    SHMQ_WHEN_FULL_REJECT = 1  // answer SHMQ_FULL at once
} shmq_when_full;

// Where a queue with a journal puts what is sent.
typedef enum shmq_gate {
    SHMQ_GATE_NONE = 0,     // no journal
    SHMQ_GATE_DIRECT = 1,   // into the ring
    SHMQ_GATE_JOURNAL = 2,  // past the ring: into the journal, or behind what waits there
    SHMQ_GATE_CLOSING = 3   // what waited there has gone: about to be direct
} shmq_gate;

// How a queue's journal does.
typedef enum shmq_journal {
    SHMQ_JOURNAL_NONE = 0,       // no journal
    SHMQ_JOURNAL_OK = 1,         // it is written to as it should be
    SHMQ_JOURNAL_NO_ROOM = 2,    // the disk, or spill_limit, has none: when_full decides
    SHMQ_JOURNAL_BROKEN = 3,     // the disk failed: nothing is logged or durable any more
    SHMQ_JOURNAL_RECOVERING = 4  // a new daemon reads what it holds; attaching waits for that
} shmq_journal;

// For max_deliveries: no limit.
#define SHMQ_UNLIMITED UINT32_MAX

// Options of a queue. Begin with SHMQ_QUEUE_OPTIONS_INIT and set what is to be otherwise:
//
//     shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
//     options.lease_ns = 5 * SHMQ_SECOND;
//
// Zero and NULL mean the default that is named. Sizes are in bytes. Strings are copied.
typedef struct shmq_queue_options {
    size_t struct_size;  // sizeof(shmq_queue_options)

    // ---- Behaviour ----
    // Largest message. Default 1 MiB, at most 512 MiB.
    uint64_t max_message;
    shmq_overflow overflow;
    // Bytes on disk that the journal may take. 0: as much as the disk allows.
    uint64_t spill_limit;
    shmq_when_full when_full;
    // Of every message of this queue, in time. Logged and durable: overflow must be spill or block
    // (which means the default here).
    shmq_durability durability;
    // How long a consumer may hold a message before it is offered to another. Default 30 s, 10 ms
    // to 7 days.
    int64_t lease_ns;
    // Failed deliveries after which a message goes to the dead-letter queue. Default 20, at most
    // 1023; SHMQ_UNLIMITED: no limit.
    uint32_t max_deliveries;
    // Queue for messages that failed too often or were rejected. Default: the name and `.dlq`.
    // Empty string: none; such messages are dropped, and counted.
    const char* dead_letter;
    // How long a message waits after a failure, or a nack without a delay of its own; doubled each
    // time up to retry_delay_max_ns. Default: not at all. At most 30 days.
    int64_t retry_delay_ns;
    int64_t retry_delay_max_ns;
    // Not 0: leases do not run out while the process that holds them is stopped.
    int pause_stopped;
    // Not 0: only one producer, or one consumer, at a time.
    int exclusive_producer;
    int exclusive_consumer;
    // Not 0: time stamps exact to the nanosecond instead of the last timer tick.
    int exact_timestamps;
    // Who may do what: 0400 manage, 0200 produce, 0100 consume for the owner; the same for group
    // and others. Default 0700.
    uint32_t mode;
    // Group that the group bits speak of, where has_group is not 0; default the creator's.
    int has_group;
    uint32_t group;

    // ---- Performance ----
    // Slots of the ring, a power of two, 64 to 16 Mi. Default 1024.
    uint64_t capacity;
    // 64, 128, 256 or 512: a message of up to slot_size - 32 bytes travels in its slot. Default 64.
    uint32_t slot_size;
    // Shared memory for larger payloads: an upper bound, touched lazily. Default 64 MiB, or four
    // times max_message where that is more.
    uint64_t pool;
    // Unacked messages that a consumer may hold. Default 64.
    uint32_t in_flight;
} shmq_queue_options;

// clang-format off
#define SHMQ_QUEUE_OPTIONS_INIT \
    {sizeof(shmq_queue_options), 0, SHMQ_OVERFLOW_BLOCK, 0, SHMQ_WHEN_FULL_BLOCK, SHMQ_ACCEPTED, \
     0, 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
// clang-format on

// What shmq_edit is to change: the members of shmq_queue_changes that count.
typedef enum shmq_change {
    SHMQ_CHANGE_LEASE = 1 << 0,
    SHMQ_CHANGE_IN_FLIGHT = 1 << 1,
    SHMQ_CHANGE_MAX_DELIVERIES = 1 << 2,
    SHMQ_CHANGE_DEAD_LETTER = 1 << 3,
    SHMQ_CHANGE_RETRY_DELAY = 1 << 4,
    SHMQ_CHANGE_RETRY_DELAY_MAX = 1 << 5,
    SHMQ_CHANGE_PAUSE_STOPPED = 1 << 6,
    SHMQ_CHANGE_MODE = 1 << 7,
    SHMQ_CHANGE_GROUP = 1 << 8,
    SHMQ_CHANGE_OWNER = 1 << 9,
    SHMQ_CHANGE_OVERFLOW = 1 << 10,
    SHMQ_CHANGE_SPILL_LIMIT = 1 << 11,
    SHMQ_CHANGE_WHEN_FULL = 1 << 12
} shmq_change;

// What can change while a queue is in use. Begin with SHMQ_QUEUE_CHANGES_INIT, set members, and
// name them in `which`; all others stay as they are. The rest of a queue's options cannot change:
// memory is laid out by it, or attached programs rely on it.
//
//     shmq_queue_changes changes = SHMQ_QUEUE_CHANGES_INIT;
//     changes.which = SHMQ_CHANGE_LEASE;
//     changes.lease_ns = 5 * SHMQ_SECOND;
typedef struct shmq_queue_changes {
    size_t struct_size;       // sizeof(shmq_queue_changes)
    uint32_t which;           // SHMQ_CHANGE_…, or-ed
    uint32_t max_deliveries;  // SHMQ_UNLIMITED (or 0): no limit
    int64_t lease_ns;         // of leases seen from now on
    const char* dead_letter;  // empty string: none. Copied
    // 0: none. Naming the first alone leaves the second in its place, where it doubled before.
    int64_t retry_delay_ns;
    int64_t retry_delay_max_ns;  // 0: not doubled
    int pause_stopped;
    uint32_t in_flight;
    uint32_t mode;  // those who are attached stay so
    uint32_t group;
    uint32_t owner;            // for root, and for whom the daemon runs as
    shmq_overflow overflow;    // block or reject, where it is one of them
    uint64_t spill_limit;      // with a journal; 0: as the disk allows
    shmq_when_full when_full;  // with a journal
} shmq_queue_changes;

// clang-format off
#define SHMQ_QUEUE_CHANGES_INIT \
    {sizeof(shmq_queue_changes), 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, 0, SHMQ_OVERFLOW_BLOCK, 0, \
     SHMQ_WHEN_FULL_BLOCK}
// clang-format on

// Whom a pause is for.
typedef enum shmq_side {
    SHMQ_SIDE_BOTH = 0,
    SHMQ_SIDE_PRODUCERS = 1,
    SHMQ_SIDE_CONSUMERS = 2
} shmq_side;

// Counts and totals of a queue as of one look. Made by shmq_info and shmq_list; read only.
typedef struct shmq_queue_info {
    const char* name;
    const shmq_queue_options* options;  // as in force
    uint32_t owner_uid;
    uint32_t group_gid;
    int quarantined;
    const char* alarm;  // what somebody has to look after; empty: nothing

    uint64_t ready;     // waiting for their first delivery, spilled ones included
    uint64_t leased;    // held by consumers
    uint64_t returned;  // waiting to be delivered again
    uint64_t delayed;   // waiting until they are due to be delivered again
    uint64_t held;      // waiting for room in the dead-letter queue

    // Zeros and _NONE without a journal.
    shmq_gate gate;
    shmq_journal journal;
    uint64_t spilled;        // in the journal, and not in the ring
    uint64_t spilled_bytes;  // payloads of those
    uint64_t journal_bytes;  // that the journal's files take on disk
    uint64_t syncs;          // of the journal's files
    uint64_t logged;         // messages so far that were written to the journal
    uint64_t durable;        // messages so far that were synced

    uint64_t sent;
    uint64_t sent_bytes;
    uint64_t delivered;  // every delivery
    uint64_t acked;
    uint64_t redelivered;
    uint64_t dropped;  // every message not delivered, whatever the reason:
    uint64_t dropped_oldest;
    uint64_t dropped_rejected;
    uint64_t dropped_damaged;
    uint64_t dropped_failed;  // too often, and there is no dead-letter queue
    uint64_t purged;          // by hand; not in `dropped`
    uint64_t expired;         // leases that ran out
    uint64_t reclaimed;       // messages given back for participants that died or hung up

    uint64_t dead_lettered;  // moved to the dead-letter queue, whatever the reason:
    uint64_t dead_rejected;
    uint64_t dead_expired;
    uint64_t dead_crashed;
    uint64_t dead_limit;  // how the last delivery failed is not known
    uint64_t moved_in;    // came from another queue: dead letters, or redriven ones
    uint64_t redriven;    // moved out by hand

    uint32_t producers;
    uint32_t consumers;
    uint64_t memory_bytes;  // of the segment and the pool, at most

    int producers_paused;  // their calls wait, or answer SHMQ_PAUSED
    int consumers_paused;
    // While `journal` is recovering: bytes of its files, 0 if not known yet, and how many were
    // read.
    uint64_t recovery_bytes;
    uint64_t recovered_bytes;
} shmq_queue_info;

// Several of them, sorted by name. Made by shmq_list; read only.
typedef struct shmq_queue_list {
    size_t count;
    const shmq_queue_info* const* queues;
} shmq_queue_list;

// End what shmq_info and shmq_list made, and all strings in it.
SHMQ_C_EXPORT void shmq_queue_info_free(shmq_queue_info* info) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT void shmq_queue_list_free(shmq_queue_list* list) SHMQ_C_NOEXCEPT;

// SHMQ_OK if `name` may name a queue; else SHMQ_INVALID_ARGUMENT, and the message says why. A name
// has 1 to 255 bytes: letters, digits, `.`, `_`, `-`, and `/` between.
SHMQ_C_EXPORT shmq_code shmq_check_queue_name(const char* name) SHMQ_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif

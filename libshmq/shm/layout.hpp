// Every byte that processes share, and no code that acts on it.
//
// A queue is one sealed memfd, the ring segment, and from its first participant on a second one,
// the pool, unless every message fits a slot. The ring segment holds, in this order and at the
// offsets that geometry.hpp plans:
//   SegmentHeader | ParticipantRecord[participants] | returned map: cell[N] | attempts[N] | note[N]
//   | first failure[N] | LSN[N], with a journal | BlockRecord[blocks] | slot[N]
//   | ingress slot[M], with a journal
// The pool holds payload bytes alone; consumers get it by a read-only descriptor.
//
// To change anything here: raise `segment_version`, update docs/segment_format.md, and expect every
// segment of another version to be refused by attach. The fingerprint catches what a version
// forgot: it mixes the sizes of all shared structs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"
#include "shm/atomic.hpp"

namespace shmq::shm {

constexpr std::uint64_t segment_magic = 0x31474553514d4853;  // "SHMQSEG1", little-endian
constexpr std::uint32_t segment_version = 4;

// ---- Slots -------------------------------------------------------------------------------------
//
// word = { lap:36 | tag:8 | owner:16 | state:4 }, most significant first; see slot_word.hpp.
// Fields but the word are written by the slot's owner only; they are atomics (relaxed) because
// peek, audit and stale handles read them without owning the slot.
struct SlotHeader {
    Atomic<std::uint64_t> word;       // 0
    Atomic<std::uint64_t> sequence;   // 8: position the message was claimed at
    Atomic<std::uint32_t> length;     // 16: { history:1 | redriven:1 | payload bytes:30 }
    Atomic<std::uint32_t> flags;      // 20: none defined: zero
    Atomic<std::uint64_t> timestamp;  // 24: monotonic nanoseconds when sent
};
static_assert(offsetof(SlotHeader, word) == 0);
static_assert(offsetof(SlotHeader, sequence) == 8);
static_assert(offsetof(SlotHeader, length) == 16);
static_assert(offsetof(SlotHeader, flags) == 20);
static_assert(offsetof(SlotHeader, timestamp) == 24);
static_assert(sizeof(SlotHeader) == 32);

// Of SlotHeader::length. A message with a history lies in a block whatever its size, with a
// DeadLetterRecord behind its payload; else a payload lies in a block if it does not fit its slot.
constexpr std::uint32_t length_history = 1u << 31;
constexpr std::uint32_t length_redriven = 1u << 30;  // redriven, and its history had no room
constexpr std::uint32_t length_mask = length_redriven - 1;
static_assert(limits::message_max_bytes <= length_mask);

// Where an inline payload would be, when it lies in a block.
struct BlockReference {
    Atomic<std::uint64_t> block;       // 0: index into the block table
    Atomic<std::uint64_t> generation;  // 8: the block's generation under this message
};
static_assert(offsetof(BlockReference, block) == 0);
static_assert(offsetof(BlockReference, generation) == 8);
static_assert(sizeof(BlockReference) == 16);
static_assert(sizeof(SlotHeader) + sizeof(BlockReference) <= limits::slot_size_min_bytes);

// ---- Beside the slots --------------------------------------------------------------------------
// One word of each kind for each slot, touched only when a message is not simply delivered and
// acked. Each is replaced by CAS only, from a value read before its writer last saw itself own the
// slot: so a writer that was overtaken (its lease expired meanwhile) cannot undo what came later.
//   cell     { lap of the message's sequence:36 | tag:8 | version:19 | set:1 }
//            where to look for returned messages; never the truth. The version moves with every
//            set and stays with a clear: tags come back after 256 leases of one message
//   attempts { lap of the message's sequence:36 | deliveries:10 | failures:10 | tag counted at:8 }
//            deliveries of that message that ended without ack; of another lap it says nothing
//   note     { lap of the message's sequence, low bits:20 | tag:8 | kind:4 | value:32 }
//            what the holder of that lease has to say: a deadline, or that it rejects
// And one that the supervisor alone writes:
//   first failure { lap of the message's sequence, low bits:20 | milliseconds of the clock:44 }
using ReturnedCell = Atomic<std::uint64_t>;
using SlotAttempts = Atomic<std::uint64_t>;
using SlotNote = Atomic<std::uint64_t>;
using SlotFirstFailure = Atomic<std::uint64_t>;

// ---- Dead letters ------------------------------------------------------------------------------
// Why a message was moved to a dead-letter queue: how its last delivery ended.
enum class DeadReason : std::uint32_t {
    limit = 1,     // too many failures, and nobody knows how the last one came about
    rejected = 2,  // by its consumer
    expired = 3,   // its lease ran out
    crashed = 4,   // its consumer's process ended
};

// The history of a message that was moved, behind its payload (at the next multiple of 8). Written
// by the supervisor before the message can be seen, read only by whoever holds it or peeks.
struct DeadLetterRecord {
    std::uint64_t magic;             // 0: dead_letter_magic
    std::uint32_t reason;            // 8: DeadReason
    std::uint32_t signal;            // 12: crashed: what killed the process; 0: not known, or none
    std::uint64_t sequence;          // 16: that it had in its source
    std::uint8_t identity[16];       // 24: of its source
    std::uint32_t deliveries;        // 40: that it had there
    std::uint32_t failures;          // 44
    std::uint64_t first_failure_at;  // 48: monotonic nanoseconds, as all times here
    std::uint64_t last_failure_at;   // 56
    std::uint64_t moved_at;          // 64
    std::uint64_t redriven_at;       // 72: 0: never
    std::uint32_t pid;               // 80: of the process that had it last; 0: not known
    std::uint32_t uid;               // 84
    std::uint32_t redriven;          // 88: how often
    std::uint32_t exit_status;       // 92: crashed: + 1, where the process ended by itself; else 0
    char source[256];                // 96: name of its source, ended by NUL
    char executable[160];            // 352: of that process, the end of its path; ended by NUL
};
constexpr std::uint64_t dead_letter_magic = 0x444145444d485351;  // "QSHMDEAD", little-endian
static_assert(offsetof(DeadLetterRecord, sequence) == 16);
static_assert(offsetof(DeadLetterRecord, identity) == 24);
static_assert(offsetof(DeadLetterRecord, deliveries) == 40);
static_assert(offsetof(DeadLetterRecord, first_failure_at) == 48);
static_assert(offsetof(DeadLetterRecord, pid) == 80);
static_assert(offsetof(DeadLetterRecord, source) == 96);
static_assert(offsetof(DeadLetterRecord, executable) == 352);
static_assert(sizeof(DeadLetterRecord) == 512);
static_assert(limits::name_max_bytes < sizeof(DeadLetterRecord::source));

constexpr std::uint64_t history_offset(std::uint64_t length) {
    return (length + 7) & ~std::uint64_t{7};
}
constexpr std::uint64_t bytes_with_history(std::uint64_t length) {
    return history_offset(length) + sizeof(DeadLetterRecord);
}

// ---- Blocks ------------------------------------------------------------------------------------
struct BlockRecord {
    Atomic<std::uint64_t> word;  // 0: { generation:40 | owner:16 | state:8 }, see block_pool.hpp
};
static_assert(offsetof(BlockRecord, word) == 0);
static_assert(sizeof(BlockRecord) == 8);

// Blocks of one size; classes lie one behind the other, smallest first.
struct SizeClass {
    std::uint64_t block_bytes;  // 0
    std::uint64_t pool_offset;  // 8: of the first block, in the pool
    std::uint32_t first_block;  // 16: index into the block table
    std::uint32_t block_count;  // 20
};
static_assert(offsetof(SizeClass, block_bytes) == 0);
static_assert(offsetof(SizeClass, pool_offset) == 8);
static_assert(offsetof(SizeClass, first_block) == 16);
static_assert(offsetof(SizeClass, block_count) == 20);
static_assert(sizeof(SizeClass) == 24);

// ---- Waiting -----------------------------------------------------------------------------------
struct alignas(64) WaitPoint {
    Atomic<std::uint64_t> waiters;  // 0: { over:32 | waiting:32 }, see wait.hpp
    Atomic<std::uint32_t> signal;   // 8: the futex word; moves at each wake-up
    Atomic<std::uint32_t> closed;   // 12: QueueStatus: for those who wake these sleepers
    Atomic<std::uint32_t> fenced;   // 16: 1: a sleeper cannot use membarrier, so publishers fence
    std::uint8_t reserved[44];      // 20
};
static_assert(offsetof(WaitPoint, waiters) == 0);
static_assert(offsetof(WaitPoint, signal) == 8);
static_assert(offsetof(WaitPoint, closed) == 12);
static_assert(offsetof(WaitPoint, fenced) == 16);
static_assert(sizeof(WaitPoint) == 64);

enum class QueueStatus : std::uint32_t {
    open = 0,
    removed = 1,      // by a manager; its users are told
    quarantined = 2,  // damaged; nothing goes in or out until a manager decides
    paused = 3,       // one side of it, by a manager, who also resumes it
};

// ---- Participants ------------------------------------------------------------------------------
enum class ParticipantState : std::uint32_t {
    vacant = 0,    // the number may be given out
    attached = 1,  // in use
    hung_up = 2,   // its session is gone, its process is not: leases were given back, no more
    gone = 3,      // dead or detached; reclaim is under way, the number is not free yet
};

enum class Role : std::uint32_t { none = 0, producer = 1, consumer = 2 };

// Line 0 is written by the daemon, line 1 and the counters by the participant alone.
struct alignas(64) ParticipantRecord {
    Atomic<std::uint32_t> state;         // 0: ParticipantState
    Atomic<std::uint32_t> role;          // 4: Role
    Atomic<std::uint32_t> exclusive;     // 8: 1 if it holds the role alone
    Atomic<std::uint32_t> pid;           // 12: as the daemon sees it; 0 across pid namespaces
    Atomic<std::uint32_t> uid;           // 16
    Atomic<std::uint32_t> generation;    // 20: raised each time the number is given out
    Atomic<std::uint64_t> attached_at;   // 24: monotonic nanoseconds
    std::uint8_t reserved_identity[32];  // 32

    Atomic<std::uint64_t>
        read_position;                // 64: exclusive consumer: all ready slots before it were read
    Atomic<std::uint64_t> handling;   // 72: sequence + 1 of the message in hand, 0: not said
    std::uint8_t reserved_held[8];    // 80
    Atomic<std::uint64_t> purged;     // 88: exclusive consumer: messages freed for a purge
    std::uint8_t reserved_owner[32];  // 96

    Atomic<std::uint64_t> sent;             // 128: messages whose send returned
    Atomic<std::uint64_t> sent_bytes;       // 136
    Atomic<std::uint64_t> delivered;        // 144: every delivery
    Atomic<std::uint64_t> delivered_bytes;  // 152
    Atomic<std::uint64_t> redelivered;      // 160: deliveries that were not a message's first
    Atomic<std::uint64_t> acked;            // 168
    Atomic<std::uint64_t> nacked;           // 176
    Atomic<std::uint64_t> rejected;         // 184
    Atomic<std::uint64_t> extended;         // 192
    Atomic<std::uint64_t> stale;            // 200: verbs that came too late
    Atomic<std::uint64_t> dropped;          // 208: { oldest messages dropped:39 | slot + 1:25 }
    Atomic<std::uint64_t> skips;            // 216: unfinished claims it went past
    Atomic<std::uint64_t> resent;           // 224: own claims that were skipped, and sent again
    Atomic<std::uint64_t> full;             // 232: sends that found no room
    Atomic<std::uint64_t> sleeps;           // 240
    Atomic<std::uint64_t> wakes;            // 248: futex wake-ups it made
};
static_assert(offsetof(ParticipantRecord, state) == 0);
static_assert(offsetof(ParticipantRecord, role) == 4);
static_assert(offsetof(ParticipantRecord, exclusive) == 8);
static_assert(offsetof(ParticipantRecord, pid) == 12);
static_assert(offsetof(ParticipantRecord, uid) == 16);
static_assert(offsetof(ParticipantRecord, generation) == 20);
static_assert(offsetof(ParticipantRecord, attached_at) == 24);
static_assert(offsetof(ParticipantRecord, read_position) == 64);
static_assert(offsetof(ParticipantRecord, handling) == 72);
static_assert(offsetof(ParticipantRecord, purged) == 88);
static_assert(offsetof(ParticipantRecord, sent) == 128);
static_assert(offsetof(ParticipantRecord, sent_bytes) == 136);
static_assert(offsetof(ParticipantRecord, delivered) == 144);
static_assert(offsetof(ParticipantRecord, delivered_bytes) == 152);
static_assert(offsetof(ParticipantRecord, redelivered) == 160);
static_assert(offsetof(ParticipantRecord, acked) == 168);
static_assert(offsetof(ParticipantRecord, nacked) == 176);
static_assert(offsetof(ParticipantRecord, rejected) == 184);
static_assert(offsetof(ParticipantRecord, extended) == 192);
static_assert(offsetof(ParticipantRecord, stale) == 200);
static_assert(offsetof(ParticipantRecord, dropped) == 208);
static_assert(offsetof(ParticipantRecord, skips) == 216);
static_assert(offsetof(ParticipantRecord, resent) == 224);
static_assert(offsetof(ParticipantRecord, full) == 232);
static_assert(offsetof(ParticipantRecord, sleeps) == 240);
static_assert(offsetof(ParticipantRecord, wakes) == 248);
static_assert(sizeof(ParticipantRecord) == 256);

// Totals of participants whose numbers are free again, and what the supervisor itself did.
// Written by the daemon only; `version` is odd while it moves a participant's counters here.
struct alignas(64) Totals {
    Atomic<std::uint64_t> version;            // 0
    Atomic<std::uint64_t> sent;               // 8
    Atomic<std::uint64_t> sent_bytes;         // 16
    Atomic<std::uint64_t> delivered;          // 24
    Atomic<std::uint64_t> delivered_bytes;    // 32
    Atomic<std::uint64_t> redelivered;        // 40
    Atomic<std::uint64_t> acked;              // 48
    Atomic<std::uint64_t> nacked;             // 56
    Atomic<std::uint64_t> rejected;           // 64
    Atomic<std::uint64_t> extended;           // 72
    Atomic<std::uint64_t> stale;              // 80
    Atomic<std::uint64_t> dropped;            // 88: drop-oldest
    Atomic<std::uint64_t> dropped_rejected;   // 96: rejected, and there is no dead-letter queue
    Atomic<std::uint64_t> dropped_damaged;    // 104: slots whose content made no sense
    Atomic<std::uint64_t> purged;             // 112
    Atomic<std::uint64_t> expired;            // 120: leases that ran out
    Atomic<std::uint64_t> reclaimed_leases;   // 128: messages taken back from the dead and hung up
    Atomic<std::uint64_t> reclaimed_claims;   // 136: unfinished sends of the dead undone
    Atomic<std::uint64_t> reclaimed_blocks;   // 144: loans of the dead freed
    Atomic<std::uint64_t> reclaimed_parties;  // 152: participants that died attached
    Atomic<std::uint64_t> dropped_failed;     // 160: failed too often, and no dead-letter queue
    Atomic<std::uint64_t> dead_rejected;      // 168: moved to the dead-letter queue, by reason
    Atomic<std::uint64_t> dead_expired;       // 176
    Atomic<std::uint64_t> dead_crashed;       // 184
    Atomic<std::uint64_t> dead_limit;         // 192
    Atomic<std::uint64_t> moved_in;           // 200: came from another queue
    Atomic<std::uint64_t> redriven;           // 208: moved out by hand
    std::uint8_t reserved[40];                // 216
};
static_assert(offsetof(Totals, sent) == 8);
static_assert(offsetof(Totals, dropped) == 88);
static_assert(offsetof(Totals, dropped_rejected) == 96);
static_assert(offsetof(Totals, dropped_damaged) == 104);
static_assert(offsetof(Totals, purged) == 112);
static_assert(offsetof(Totals, expired) == 120);
static_assert(offsetof(Totals, reclaimed_leases) == 128);
static_assert(offsetof(Totals, reclaimed_parties) == 152);
static_assert(offsetof(Totals, dropped_failed) == 160);
static_assert(offsetof(Totals, dead_rejected) == 168);
static_assert(offsetof(Totals, redriven) == 208);
static_assert(sizeof(Totals) == 256);

// ---- Header ------------------------------------------------------------------------------------
enum class Overflow : std::uint32_t { block = 0, reject = 1, drop_oldest = 2, spill = 3 };

enum QueueFlag : std::uint32_t {
    exclusive_producer = 1u << 0,
    exclusive_consumer = 1u << 1,
    exact_timestamps = 1u << 2,
    pool_present = 1u << 3,      // set by the daemon once it has made the pool
    journal_present = 1u << 4,   // it spills, or is durable: there is an ingress ring
    when_full_reject = 1u << 5,  // where the journal finds no room: refuse instead of block
    durable_log = 1u << 6,       // every message goes through the journal
    // Of live_flags alone, as is pool_present; so is when_full_reject for who asks it.
    overflow_reject = 1u << 7,  // full: refuse instead of block
    retry_delayed = 1u << 8,    // what is given back waits
    // Of a durable log: it is written, and never synced. It cannot be told to be durable.
    unsynced_log = 1u << 9,
};

// What defines a queue's shape; constant once the segment is ready. Everything else about the
// layout follows from these numbers (geometry.hpp), so attach recomputes instead of trusting.
// What a manager has changed since (the lease, what a full queue does) is in the daemon's books,
// and in live_flags as far as clients act on it.
struct Shape {
    std::uint64_t capacity;      // 0: slots, a power of two
    std::uint64_t max_message;   // 8: bytes
    std::uint64_t pool_bytes;    // 16
    std::uint64_t lease_ns;      // 24
    std::uint32_t slot_size;     // 32: bytes
    std::uint32_t participants;  // 36: records in the table, number 0 included
    std::uint32_t overflow;      // 40: Overflow
    std::uint32_t flags;         // 44: QueueFlag, but for those of live_flags
};
static_assert(offsetof(Shape, capacity) == 0);
static_assert(offsetof(Shape, max_message) == 8);
static_assert(offsetof(Shape, pool_bytes) == 16);
static_assert(offsetof(Shape, lease_ns) == 24);
static_assert(offsetof(Shape, slot_size) == 32);
static_assert(offsetof(Shape, participants) == 36);
static_assert(offsetof(Shape, overflow) == 40);
static_assert(offsetof(Shape, flags) == 44);
static_assert(sizeof(Shape) == 48);

enum PolicyFlag : std::uint32_t {
    pause_stopped = 1u << 0,  // no lease runs out while its holder's process is stopped
};

// What becomes of messages that fail, as the queue was made; changes are as those of Shape.
struct Policy {
    std::uint64_t retry_first_ns;  // 0: before the second delivery; 0: at once
    std::uint64_t retry_max_ns;    // 8: doubled each time up to this
    std::uint32_t max_deliveries;  // 16: failures after which it is a dead letter; 0: no limit
    std::uint32_t flags;           // 20: PolicyFlag
    char dead_letter[256];         // 24: name of the queue for dead letters, ended by NUL; "": none
};
static_assert(offsetof(Policy, retry_max_ns) == 8);
static_assert(offsetof(Policy, max_deliveries) == 16);
static_assert(offsetof(Policy, flags) == 20);
static_assert(offsetof(Policy, dead_letter) == 24);
static_assert(sizeof(Policy) == 280);
static_assert(limits::name_max_bytes < sizeof(Policy::dead_letter));

// Where the message of a move under way comes from: written before its slot says `moving`.
struct MoveMark {
    Atomic<std::uint64_t> source_identity[2];  // 0
    Atomic<std::uint64_t> source_sequence;     // 16
    Atomic<std::uint64_t> position;            // 24: here
};
static_assert(sizeof(MoveMark) == 32);

// ---- Journal -----------------------------------------------------------------------------------
// Where a message that is on its way into the front ring comes from.
enum class RefillSource : std::uint32_t { none = 0, log = 1, ingress = 2 };

// What a queue with a journal has besides (gate.hpp, journal_side.hpp).
struct alignas(64) JournalArea {
    Atomic<std::uint64_t> ingress_tail;              // 0: a hint, as SegmentHeader::tail
    alignas(64) Atomic<std::uint64_t> ingress_head;  // 64: everything before it was taken

    // The supervisor's asking: who has done what it waits for rings its doorbell.
    alignas(64) Atomic<std::uint32_t> listening;  // 128: 1: for messages in the ingress
    Atomic<std::uint32_t> wants_room;             // 132: 1: for room in the front ring
    // The supervisor's memory of how far it is, for its successor.
    Atomic<std::uint64_t> refilled;      // 136: no message of the log before this LSN is awaited
    Atomic<std::uint64_t> note_front;    // 144: a refill under way: to where, + 1; 0: none
    Atomic<std::uint64_t> note_source;   // 152: from where: LSN, or ingress position
    Atomic<std::uint32_t> note_kind;     // 160: RefillSource
    Atomic<std::uint32_t> confirms_end;  // 164: 1: nothing more will be confirmed: the disk failed
    Atomic<std::uint32_t> no_room;       // 168: 1: the disk, or the limit of the log, is full
    std::uint32_t reserved_word;         // 172
    Atomic<std::uint64_t> memory[2];     // 176: random: the log's positions are of this memory

    // Ingress positions before these are in the log, and safe from power loss.
    alignas(64) Atomic<std::uint64_t> logged;  // 192
    Atomic<std::uint64_t> durable;             // 200
    Atomic<std::uint64_t> backlog;             // 208: messages in the log that are still to come
    std::uint8_t reserved_confirms[40];        // 216
    WaitPoint confirms;                        // 256: who awaits a confirm sleeps here
};
static_assert(offsetof(JournalArea, ingress_head) == 64);
static_assert(offsetof(JournalArea, listening) == 128);
static_assert(offsetof(JournalArea, refilled) == 136);
static_assert(offsetof(JournalArea, note_kind) == 160);
static_assert(offsetof(JournalArea, logged) == 192);
static_assert(offsetof(JournalArea, confirms) == 256);
static_assert(sizeof(JournalArea) == 320);

// ---- Times -------------------------------------------------------------------------------------
// How long things took: sum, and how many were below 2^10 ns, 2^11 ns, ... 2^39 ns, and above.
// Added to by consumers, for every 64th message only, so that sharing the line does not show.
struct alignas(64) Histogram {
    static constexpr std::size_t bucket_count = 31;
    Atomic<std::uint64_t> sum_ns;                 // 0
    Atomic<std::uint64_t> buckets[bucket_count];  // 8
};
static_assert(offsetof(Histogram, buckets) == 8);
static_assert(sizeof(Histogram) == 256);
constexpr std::uint64_t sample_mask = 63;  // of sequences: those with these bits 0

// Of each slot of a durable queue's front ring: where its message stands in the log; 0: nowhere.
using SlotLsn = Atomic<std::uint64_t>;

struct alignas(4096) SegmentHeader {
    std::uint64_t magic;              // 0
    std::uint32_t version;            // 8
    Atomic<std::uint32_t> ready;      // 12: 1, stored last with release
    std::uint64_t fingerprint;        // 16
    std::uint64_t segment_bytes;      // 24
    std::uint8_t identity[16];        // 32: random, the same for a queue as long as it exists
    Shape shape;                      // 48
    std::uint8_t reserved_shape[32];  // 96

    alignas(64) Atomic<std::uint64_t> head;     // 128: a hint: no ready slot before it
    alignas(64) Atomic<std::uint64_t> tail;     // 192: a hint: no free slot before it
    alignas(64) Atomic<std::uint64_t> returns;  // 256: moves after every return
    WaitPoint items;                            // 320: consumers sleep here
    WaitPoint space;                            // 384: producers sleep here

    // Seldom written, often read.
    alignas(
        64) Atomic<std::uint32_t> in_flight_cap;  // 448: fair share of a consumer, by the daemon
    Atomic<std::uint32_t> live_flags;             // 452: QueueFlag: what may change, by the daemon
    Atomic<std::uint64_t> purge_position;         // 456: an exclusive consumer frees up to here
    Atomic<std::uint64_t> purge_requests;         // 464: moves with every purge
    Atomic<std::uint64_t> gate;                   // 472: which way messages go (gate.hpp)
    alignas(64) Atomic<std::uint32_t> supervisor_work;  // 512: 1: slots wait for a decision
    std::uint32_t reserved_word;                        // 516
    // The supervisor's count under way (count_journal.hpp).
    Atomic<std::uint64_t> count_step;   // 520: 0: none
    Atomic<std::uint64_t> count_value;  // 528: that the total will have
    std::uint8_t reserved_work[40];     // 536
    Totals totals;                      // 576
    Policy policy;                      // 832
    std::uint8_t reserved_policy[40];   // 1112
    MoveMark incoming;                  // 1152: a move to here
    JournalArea journal;                // 1216
    Histogram time_in_queue;            // 1536: from send to receive
    Histogram time_in_hand;             // 1792: from receive to ack
};
static_assert(offsetof(SegmentHeader, magic) == 0);
static_assert(offsetof(SegmentHeader, version) == 8);
static_assert(offsetof(SegmentHeader, ready) == 12);
static_assert(offsetof(SegmentHeader, fingerprint) == 16);
static_assert(offsetof(SegmentHeader, segment_bytes) == 24);
static_assert(offsetof(SegmentHeader, identity) == 32);
static_assert(offsetof(SegmentHeader, shape) == 48);
static_assert(offsetof(SegmentHeader, head) == 128);
static_assert(offsetof(SegmentHeader, tail) == 192);
static_assert(offsetof(SegmentHeader, returns) == 256);
static_assert(offsetof(SegmentHeader, items) == 320);
static_assert(offsetof(SegmentHeader, space) == 384);
static_assert(offsetof(SegmentHeader, in_flight_cap) == 448);
static_assert(offsetof(SegmentHeader, live_flags) == 452);
static_assert(offsetof(SegmentHeader, purge_position) == 456);
static_assert(offsetof(SegmentHeader, purge_requests) == 464);
static_assert(offsetof(SegmentHeader, gate) == 472);
static_assert(offsetof(SegmentHeader, supervisor_work) == 512);
static_assert(offsetof(SegmentHeader, count_step) == 520);
static_assert(offsetof(SegmentHeader, count_value) == 528);
static_assert(offsetof(SegmentHeader, totals) == 576);
static_assert(offsetof(SegmentHeader, policy) == 832);
static_assert(offsetof(SegmentHeader, incoming) == 1152);
static_assert(offsetof(SegmentHeader, journal) == 1216);
static_assert(offsetof(SegmentHeader, time_in_queue) == 1536);
static_assert(offsetof(SegmentHeader, time_in_hand) == 1792);
static_assert(sizeof(SegmentHeader) == 4096);

constexpr std::uint64_t mix_fingerprint(std::uint64_t sum, std::uint64_t value) {
    return (sum ^ value) * 0x100000001b3;  // FNV-1a over whole numbers
}

// Two builds whose shared structs differ in size or order of magnitude never meet on one segment.
constexpr std::uint64_t segment_fingerprint = [] {
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const std::uint64_t value :
         {sizeof(SlotHeader), sizeof(BlockReference), sizeof(BlockRecord), sizeof(SizeClass),
          sizeof(WaitPoint), sizeof(ParticipantRecord), sizeof(Totals), sizeof(Shape),
          sizeof(SegmentHeader), sizeof(ReturnedCell), sizeof(SlotAttempts), sizeof(SlotNote),
          sizeof(SlotFirstFailure), sizeof(DeadLetterRecord), sizeof(Policy), sizeof(MoveMark),
          sizeof(JournalArea), sizeof(SlotLsn), sizeof(Histogram)}) {
        sum = mix_fingerprint(sum, value);
    }
    return mix_fingerprint(sum, segment_version);
}();

}  // namespace shmq::shm

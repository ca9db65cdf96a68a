// Every byte of a journal file. docs/journal_format.md says the same in words, with an example.
//
// To change the format: raise `format_version`; keep reading the version before; add golden files
// of the new one to tests/fault/golden (the old ones stay, and stay readable); change the page.
//
// Invariants that every file holds, and that recovery relies on:
// 1. Log sequence numbers (LSNs) of a log rise by one from record to record, across its files.
// 2. A file is written by one writer (an epoch), and by nobody after that writer has ended.
// 3. What was synced is never written again: no unit of `alignment` bytes holds two batches.
// 4. A record says how much before it was known to be synced when it was written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/limits.hpp"

namespace shmq::journal {

constexpr std::uint64_t file_magic = 0x6c6e726a716d6873;  // "shmqjrnl"
constexpr std::uint32_t format_version = 2;
constexpr std::uint32_t format_version_oldest = 1;  // that is still read: it had no flag_moved

enum class LogKind : std::uint32_t {
    spill = 1,    // survives the daemon, not the kernel: never synced, no file is used twice
    durable = 2,  // survives power loss: synced, files are filled with zeros ahead and used in turn
};

using Identity = std::array<std::uint8_t, 16>;

// The first sector of a file. A file of zeros has not come into use yet.
struct FileHeader {
    std::uint64_t magic;         // 0
    std::uint32_t version;       // 8
    std::uint32_t record_start;  // 12: offset of the first record
    Identity queue;              // 16: whose log this is
    Identity memory;             // 32: in whose memory the ingress positions count
    std::uint64_t epoch;         // 48: the writer, counted: each start of a daemon is a new one
    std::uint64_t serial;        // 56: of this use of the file, counted within the epoch
    std::uint64_t first_lsn;   // 64: of the first record; takes those of older epochs from here on
    std::uint64_t floor;       // 72: nothing before this LSN was needed when the file came into use
    std::uint64_t seed;        // 80: random for each use, and secret: records are checked with it
    std::uint64_t file_bytes;  // 88
    std::uint64_t created_ns;  // 96: CLOCK_REALTIME
    std::uint32_t kind;        // 104: LogKind
    std::uint32_t alignment;   // 108: a batch begins at a multiple of this
    std::uint32_t name_bytes;  // 112
    std::uint32_t reserved;    // 116: 0
    char name[256];            // 120: the queue's, for people
    std::uint64_t previous_epoch;    // 376: last one whose files this writer saw in use; 0: none
    std::uint8_t reserved_end[120];  // 384: 0
    std::uint64_t checksum;          // 504: XXH3 of the bytes before it, seed 0
};
static_assert(offsetof(FileHeader, magic) == 0);
static_assert(offsetof(FileHeader, version) == 8);
static_assert(offsetof(FileHeader, record_start) == 12);
static_assert(offsetof(FileHeader, queue) == 16);
static_assert(offsetof(FileHeader, memory) == 32);
static_assert(offsetof(FileHeader, epoch) == 48);
static_assert(offsetof(FileHeader, serial) == 56);
static_assert(offsetof(FileHeader, first_lsn) == 64);
static_assert(offsetof(FileHeader, floor) == 72);
static_assert(offsetof(FileHeader, seed) == 80);
static_assert(offsetof(FileHeader, file_bytes) == 88);
static_assert(offsetof(FileHeader, created_ns) == 96);
static_assert(offsetof(FileHeader, kind) == 104);
static_assert(offsetof(FileHeader, alignment) == 108);
static_assert(offsetof(FileHeader, name_bytes) == 112);
static_assert(offsetof(FileHeader, name) == 120);
static_assert(offsetof(FileHeader, previous_epoch) == 376);
static_assert(offsetof(FileHeader, reserved_end) == 384);
static_assert(offsetof(FileHeader, checksum) == 504);
// One sector: it is written as a whole or not at all.
static_assert(sizeof(FileHeader) == 512);
static_assert(std::is_trivially_copyable_v<FileHeader>);
static_assert(std::has_unique_object_representations_v<FileHeader>);
static_assert(limits::name_max_bytes <= sizeof(FileHeader::name));

enum class RecordKind : std::uint8_t {
    none = 0,      // so that zeros are never a record
    message = 1,   // a message, with its payload
    settled = 2,   // messages that are gone: acked, expired, purged or moved
    front = 3,     // messages put into the front ring: they may have been delivered
    counts = 4,    // the log's floor; the payload is the queue's counters
    seal = 5,      // the last record of its file
    pad = 6,       // nothing, `length` bytes of it: the next record begins a batch
    attempts = 7,  // a message has failed: how often it was delivered, and how often that was vain
};
constexpr std::uint8_t record_kind_max = 7;

// Of RecordHeader::position: the message came by no ingress ring.
constexpr std::uint64_t position_none = UINT64_MAX;

// Of RecordHeader::flags, for messages.
constexpr std::uint8_t flag_redelivered = 1;  // it may have been delivered before
constexpr std::uint8_t flag_history = 2;      // a dead letter: its history follows in the payload
constexpr std::uint8_t flag_redriven = 4;
constexpr std::uint8_t flag_moved = 8;  // from another queue: its Origin ends the payload
constexpr std::uint8_t flags_known = flag_redelivered | flag_history | flag_redriven | flag_moved;

// Before each payload, at a multiple of 8.
struct RecordHeader {
    std::uint64_t checksum;  // 0: XXH3 of bytes 8 to 63, with the file's seed
    std::uint64_t
        payload_checksum;    // 8: XXH3 of the payload, with the file's seed; 0 of none, of pad
    std::uint64_t lsn;       // 16
    std::uint32_t length;    // 24: bytes of payload; what a pad skips
    std::uint8_t kind;       // 28: RecordKind
    std::uint8_t flags;      // 29
    std::uint16_t reserved;  // 30: 0
    std::uint64_t
        position;  // 32: message: ingress position. settled, front: first LSN. counts: floor
    std::uint64_t sequence;      // 40: message: the queue's number. settled, front: how many LSNs
    std::uint64_t timestamp_ns;  // 48: CLOCK_REALTIME: message: when sent. others: when written
    std::uint16_t deliveries;    // 56
    std::uint16_t failures;      // 58
    std::uint32_t unsynced;      // 60: records just before this one not yet known to be synced
};
static_assert(offsetof(RecordHeader, checksum) == 0);
static_assert(offsetof(RecordHeader, payload_checksum) == 8);
static_assert(offsetof(RecordHeader, lsn) == 16);
static_assert(offsetof(RecordHeader, length) == 24);
static_assert(offsetof(RecordHeader, kind) == 28);
static_assert(offsetof(RecordHeader, flags) == 29);
static_assert(offsetof(RecordHeader, position) == 32);
static_assert(offsetof(RecordHeader, sequence) == 40);
static_assert(offsetof(RecordHeader, timestamp_ns) == 48);
static_assert(offsetof(RecordHeader, deliveries) == 56);
static_assert(offsetof(RecordHeader, failures) == 58);
static_assert(offsetof(RecordHeader, unsynced) == 60);
static_assert(sizeof(RecordHeader) == 64);
static_assert(std::has_unique_object_representations_v<RecordHeader>);

// Where a message came from that was moved here, behind everything else in its payload. Until that
// queue does not have it any more, this record counts for nothing.
struct Origin {
    Identity queue;               // 0
    Identity memory;              // 16: that `number` counts in; zeros for an LSN
    std::uint64_t number;         // 32: its LSN there, or its number in the queue
    std::uint32_t kind;           // 40: OriginKind
    std::uint32_t message_bytes;  // 44: of the message alone: history and this come behind it
};
static_assert(offsetof(Origin, queue) == 0);
static_assert(offsetof(Origin, memory) == 16);
static_assert(offsetof(Origin, number) == 32);
static_assert(offsetof(Origin, kind) == 40);
static_assert(offsetof(Origin, message_bytes) == 44);
static_assert(sizeof(Origin) == 48);
static_assert(std::has_unique_object_representations_v<Origin>);

enum class OriginKind : std::uint32_t {
    lsn = 1,       // of a queue whose log outlives its memory
    sequence = 2,  // of a queue that ends with its memory
};

constexpr std::uint32_t record_alignment = 8;
constexpr std::uint32_t record_start_bytes = 4096;  // what follows the header up to here is zero
// A block that a disk may write as a whole though only a part of it changed.
constexpr std::uint32_t durable_alignment_bytes = 4096;
constexpr std::uint32_t alignment_max_bytes = 1u << 20;
constexpr std::uint64_t file_max_bytes = std::uint64_t{1} << 40;
constexpr std::uint64_t payload_max_bytes = limits::message_max_bytes + 4096;  // and its history
static_assert(payload_max_bytes <= UINT32_MAX);

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}
// What a record takes, header and all.
constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) {
    return sizeof(RecordHeader) + round_up(payload_bytes, record_alignment);
}

std::uint64_t checksum_of(std::span<const std::byte> bytes, std::uint64_t seed);

// Fills in the header's checksum.
void finish(FileHeader& header);
void finish(RecordHeader& header, std::uint64_t seed);

// What the first sector of a file says.
enum class HeaderState {
    good,
    unused,   // zeros, or shorter than a header
    damaged,  // not a header, or its checksum or a bound is wrong
    newer,    // of a version that this program does not know
};
HeaderState read_header(std::span<const std::byte> sector, FileHeader& header);

// The record header at the start of `bytes`, if there is a whole one: its checksum and every bound
// hold, and it ends within `room` bytes from its start. The payload is not looked at.
std::optional<RecordHeader> read_record(std::span<const std::byte> bytes, std::uint64_t seed,
                                        std::uint64_t room);
// REQUIRES: payload.size() == header.length, and the record is no pad.
bool payload_is_whole(const RecordHeader& header, std::span<const std::byte> payload,
                      std::uint64_t seed);

// What stands at the end of such a payload; nothing: it makes no sense. REQUIRES: the payload is
// that of a message with flag_moved.
std::optional<Origin> read_origin(std::span<const std::byte> payload);

// The last LSN known to be synced when the record was written.
constexpr std::uint64_t synced_before(const RecordHeader& header) {
    return header.lsn - 1 - header.unsynced;
}

const char* kind_name(RecordKind kind);
inline std::string_view name_of(const FileHeader& header) {
    return {header.name, header.name_bytes};
}

}  // namespace shmq::journal

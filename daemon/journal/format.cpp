#include "daemon/journal/format.hpp"

#include <algorithm>
#include <cstring>

// Header only: no library to find at run time, and the compiler inlines the hash of the headers.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace shmq::journal {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

bool all_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](std::byte byte) { return byte == std::byte{}; });
}

std::uint64_t header_checksum(const FileHeader& header) {
    return checksum_of(bytes_of(header).first(offsetof(FileHeader, checksum)), 0);
}

std::uint64_t header_checksum(const RecordHeader& header, std::uint64_t seed) {
    return checksum_of(bytes_of(header).subspan(sizeof header.checksum), seed);
}

bool is_power_of_two(std::uint64_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

bool in_bounds(const FileHeader& header) {
    const bool kind_known = header.kind == static_cast<std::uint32_t>(LogKind::spill) ||
                            header.kind == static_cast<std::uint32_t>(LogKind::durable);
    return kind_known && header.name_bytes <= sizeof header.name &&
           is_power_of_two(header.alignment) && header.alignment >= record_alignment &&
           header.alignment <= alignment_max_bytes && header.record_start >= sizeof header &&
           header.record_start % header.alignment == 0 && header.file_bytes <= file_max_bytes &&
           header.file_bytes >= header.record_start && header.first_lsn != 0 &&
           header.floor <= header.first_lsn && header.previous_epoch < header.epoch;
}

bool in_bounds(const RecordHeader& header, std::uint64_t room) {
    if (header.kind == 0 || header.kind > record_kind_max || header.lsn == 0) return false;
    if (header.unsynced >= header.lsn || header.reserved != 0) return false;
    if (header.flags & ~flags_known) return false;
    const bool is_pad = header.kind == static_cast<std::uint8_t>(RecordKind::pad);
    if (header.length > payload_max_bytes && !is_pad) return false;
    if (is_pad && header.length % record_alignment != 0) return false;
    return record_bytes(header.length) <= room;
}

}  // namespace

std::uint64_t checksum_of(std::span<const std::byte> bytes, std::uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

void finish(FileHeader& header) {
    header.checksum = header_checksum(header);
}

void finish(RecordHeader& header, std::uint64_t seed) {
    header.checksum = header_checksum(header, seed);
}

HeaderState read_header(std::span<const std::byte> sector, FileHeader& header) {
    if (sector.size() < sizeof header || all_zero(sector.first(sizeof header)))
        return HeaderState::unused;
    std::memcpy(&header, sector.data(), sizeof header);
    if (header.magic != file_magic) return HeaderState::damaged;
    if (header.checksum != header_checksum(header)) return HeaderState::damaged;
    // Magic, version and checksum stay where they are in every version to come.
    if (header.version < format_version_oldest || header.version > format_version)
        return HeaderState::newer;
    return in_bounds(header) ? HeaderState::good : HeaderState::damaged;
}

std::optional<RecordHeader> read_record(std::span<const std::byte> bytes, std::uint64_t seed,
                                        std::uint64_t room) {
    if (bytes.size() < sizeof(RecordHeader)) return std::nullopt;
    RecordHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (!in_bounds(header, room))
        return std::nullopt;  // cheap, and true of nearly all that is none
    if (header.checksum != header_checksum(header, seed)) return std::nullopt;
    return header;
}

bool payload_is_whole(const RecordHeader& header, std::span<const std::byte> payload,
                      std::uint64_t seed) {
    if (payload.empty()) return header.payload_checksum == 0;
    return header.payload_checksum == checksum_of(payload, seed);
}

std::optional<Origin> read_origin(std::span<const std::byte> payload) {
    if (payload.size() < sizeof(Origin)) return std::nullopt;
    Origin origin;
    std::memcpy(&origin, payload.data() + (payload.size() - sizeof origin), sizeof origin);
    const bool known = origin.kind == static_cast<std::uint32_t>(OriginKind::lsn) ||
                       origin.kind == static_cast<std::uint32_t>(OriginKind::sequence);
    if (!known || origin.message_bytes > payload.size() - sizeof origin) return std::nullopt;
    return origin;
}

const char* kind_name(RecordKind kind) {
    switch (kind) {
        case RecordKind::none:
            break;
        case RecordKind::message:
            return "message";
        case RecordKind::settled:
            return "settled";
        case RecordKind::front:
            return "front";
        case RecordKind::counts:
            return "counts";
        case RecordKind::seal:
            return "seal";
        case RecordKind::pad:
            return "pad";
        case RecordKind::attempts:
            return "attempts";
    }
    return "none";
}

}  // namespace shmq::journal

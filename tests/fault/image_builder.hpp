// Journal files made record by record, for tests of what reads them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "daemon/journal/format.hpp"
#include "fault/log_rig.hpp"

namespace shmq::fault {

inline Bytes bytes_of(std::string_view text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
}

class ImageBuilder {
  public:
    explicit ImageBuilder(std::uint64_t epoch = 1, std::uint64_t serial = 1,
                          std::uint64_t first_lsn = 1,
                          journal::LogKind kind = journal::LogKind::durable) {
        header.magic = journal::file_magic;
        header.version = journal::format_version;
        header.record_start = journal::record_start_bytes;
        header.queue = queue_identity;
        header.memory = memory_identity;
        header.epoch = epoch;
        header.serial = serial;
        header.first_lsn = next = first_lsn;
        header.floor = 1;
        header.seed = 0x5eed + epoch * 16 + serial;
        header.file_bytes = 16384;
        header.created_ns = 1'700'000'000'000'000'000;
        header.kind = static_cast<std::uint32_t>(kind);
        header.alignment = kind == journal::LogKind::durable ? journal::durable_alignment_bytes
                                                             : journal::record_alignment;
        header.name_bytes = 4;
        std::memcpy(header.name, "jobs", 4);
        bytes.resize(header.file_bytes);
    }

    journal::RecordHeader record(journal::RecordKind kind) const {
        journal::RecordHeader made{};
        made.kind = static_cast<std::uint8_t>(kind);
        made.lsn = next;
        made.timestamp_ns = 1'700'000'000'000'000'001;
        return made;
    }
    // Where it was put. `synced`: the last LSN it says was synced before.
    std::uint64_t put(journal::RecordHeader made, std::string_view payload = {},
                      std::uint64_t synced = 0) {
        const Bytes content = bytes_of(payload);
        if (!content.empty()) {
            made.length = static_cast<std::uint32_t>(content.size());
            made.payload_checksum = journal::checksum_of(content, header.seed);
        }
        made.unsynced = static_cast<std::uint32_t>(made.lsn - 1 - synced);
        journal::finish(made, header.seed);
        const std::uint64_t offset = end;
        std::memcpy(bytes.data() + offset, &made, sizeof made);
        if (!content.empty())
            std::memcpy(bytes.data() + offset + sizeof made, content.data(), content.size());
        end += journal::record_bytes(made.length);
        next = made.lsn + 1;
        return offset;
    }
    std::uint64_t message(std::string_view payload, std::uint64_t synced = 0) {
        journal::RecordHeader made = record(journal::RecordKind::message);
        made.position = made.sequence = next;
        return put(made, payload, synced);
    }
    std::uint64_t range(journal::RecordKind kind, std::uint64_t first, std::uint64_t count,
                        std::uint64_t synced = 0) {
        journal::RecordHeader made = record(kind);
        made.position = first;
        made.sequence = count;
        return put(made, {}, synced);
    }
    Bytes build() {
        journal::finish(header);
        std::memcpy(bytes.data(), &header, sizeof header);
        return bytes;
    }

    journal::FileHeader header{};
    Bytes bytes;
    std::uint64_t end = journal::record_start_bytes;
    std::uint64_t next = 1;
};

}  // namespace shmq::fault

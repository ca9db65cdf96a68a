// The bytes of the catalogue (catalogue.hpp): for the daemon, and for who looks at what a process
// holds when no daemon answers (cli/memory.cpp).
//
// A file of places of equal size. Place 0 says what the file is; each other one is vacant, or has
// an entry: a head, and behind it a definition (definition.hpp). An entry whose checksum is wrong
// was not written to its end, and is none. Of two entries of one queue the one of the later serial
// holds.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/journal/format.hpp"

namespace shmq::daemon {

constexpr const char* catalogue_memory_name = "shmq-catalogue";
constexpr std::uint64_t catalogue_magic = 0x315443514d4853ff;
constexpr std::size_t catalogue_place_bytes = 2048;

struct CatalogueHeader {
    std::uint64_t magic;
    std::uint32_t place_bytes;
    std::uint32_t reserved;
};

struct CatalogueHead {
    std::uint32_t used;  // 1; 0: vacant
    std::uint32_t length;
    std::uint64_t serial;
    std::uint64_t memory;  // the number that ring and pool are kept under (keeper/inherited.hpp)
    std::uint64_t checksum;
};
static_assert(sizeof(CatalogueHead) == 32);
constexpr std::size_t catalogue_text_max_bytes = catalogue_place_bytes - sizeof(CatalogueHead);

struct CatalogueEntry {
    std::uint32_t place = 0;
    std::uint64_t serial = 0;
    std::uint64_t memory = 0;
    std::string text;
};

// Of the head without its checksum, and of the text: against a write that was cut off, not against
// anybody.
inline std::uint64_t catalogue_checksum(const CatalogueHead& head, std::string_view text) {
    const auto head_bytes = std::as_bytes(std::span(&head, 1));
    const std::uint64_t seed =
        journal::checksum_of(head_bytes.first(offsetof(CatalogueHead, checksum)), 0);
    return journal::checksum_of(std::as_bytes(std::span(text)), seed);
}

inline off_t catalogue_offset(std::uint32_t place) {
    return static_cast<off_t>(place) * static_cast<off_t>(catalogue_place_bytes);
}

// Places, the first among them, that the file has; 0: it is no catalogue of this format.
inline std::uint32_t catalogue_places(int fd) {
    CatalogueHeader header{};
    struct stat status {};
    if (::fstat(fd, &status) != 0 || ::pread(fd, &header, sizeof header, 0) != sizeof header ||
        header.magic != catalogue_magic || header.place_bytes != catalogue_place_bytes) {
        return 0;
    }
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    return static_cast<std::uint32_t>((bytes + catalogue_place_bytes - 1) / catalogue_place_bytes);
}

// Nothing: vacant, or not written to its end.
inline std::optional<CatalogueEntry> read_catalogue_entry(int fd, std::uint32_t place) {
    char bytes[catalogue_place_bytes];
    const ssize_t count = ::pread(fd, bytes, sizeof bytes, catalogue_offset(place));
    CatalogueHead head{};
    if (count < static_cast<ssize_t>(sizeof head)) return std::nullopt;
    std::memcpy(&head, bytes, sizeof head);
    const auto there = static_cast<std::size_t>(count) - sizeof head;
    if (head.used != 1 || head.length == 0 || head.length > there) return std::nullopt;
    const std::string_view text(bytes + sizeof head, head.length);
    if (head.checksum != catalogue_checksum(head, text)) return std::nullopt;
    return CatalogueEntry{place, head.serial, head.memory, std::string(text)};
}

}  // namespace shmq::daemon

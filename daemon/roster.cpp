#include "daemon/roster.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace shmq::daemon {
namespace {

constexpr std::uint64_t roster_magic = 0x315453524d485153;  // SQHMRST1
constexpr std::uint32_t identity_bytes = 16;

struct Header {
    std::uint64_t magic;
    std::uint32_t record_bytes;
    std::uint32_t lives;
};

struct Record {
    std::uint32_t used;
    std::uint32_t producer;
    std::uint32_t number;
    std::uint32_t generation;
    std::int32_t pid;
    std::uint32_t uid;
    std::uint64_t holder;
    std::int64_t attached_at;
    std::uint8_t identity[identity_bytes];
    std::uint8_t key[identity_bytes];
    std::uint8_t reserved[56];
};
// A power of two: no record crosses a page.
static_assert(sizeof(Record) == 128);
static_assert(sizeof(Header) <= sizeof(Record));

void pack(const std::string& digits, std::uint8_t (&bytes)[identity_bytes]) {
    for (std::size_t index = 0; index < identity_bytes && 2 * index + 1 < digits.size(); ++index) {
        bytes[index] =
            static_cast<std::uint8_t>(std::stoul(digits.substr(2 * index, 2), nullptr, 16));
    }
}

std::string unpack(const std::uint8_t (&bytes)[identity_bytes]) {
    constexpr char digits[] = "0123456789abcdef";
    if (std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; })) return {};
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

off_t offset_of(std::uint32_t place) {
    return static_cast<off_t>(place) * static_cast<off_t>(sizeof(Record));
}

bool write_record(const Fd& file, std::uint32_t place, const Record& record) {
    return ::pwrite(file.get(), &record, sizeof record, offset_of(place)) ==
           static_cast<ssize_t>(sizeof record);
}

}  // namespace

bool Roster::create() {
    file_ = Fd(::memfd_create("shmq-roster", MFD_CLOEXEC));
    if (!file_ || ::fchmod(file_.get(), 0600) != 0) return false;
    lives_ = 0;
    end_ = 1;
    vacant_.clear();
    return write_header();
}

bool Roster::write_header() {
    const Header header{roster_magic, sizeof(Record), lives_ + 1};
    Record record{};
    std::memcpy(&record, &header, sizeof header);
    return write_record(file_, 0, record);
}

bool Roster::adopt(Fd file, std::vector<RosterEntry>& entries, std::vector<std::uint32_t>& places) {
    Header header{};
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0 ||
        ::pread(file.get(), &header, sizeof header, 0) != sizeof header ||
        header.magic != roster_magic || header.record_bytes != sizeof(Record)) {
        return false;
    }
    file_ = std::move(file);
    lives_ = header.lives;
    end_ = static_cast<std::uint32_t>(status.st_size / static_cast<off_t>(sizeof(Record)));
    for (std::uint32_t place = 1; place < end_; ++place) {
        Record record{};
        if (::pread(file_.get(), &record, sizeof record, offset_of(place)) != sizeof record ||
            record.used == 0) {
            vacant_.push_back(place);
            continue;
        }
        entries.push_back({.identity = unpack(record.identity),
                           .key = unpack(record.key),
                           .holder = record.holder,
                           .number = record.number,
                           .generation = record.generation,
                           .pid = record.pid,
                           .uid = record.uid,
                           .attached_at = record.attached_at,
                           .producer = record.producer != 0});
        places.push_back(place);
    }
    return write_header();
}

std::uint32_t Roster::add(const RosterEntry& entry) {
    std::uint32_t place = end_;
    if (!vacant_.empty()) {
        place = vacant_.back();
        vacant_.pop_back();
    } else {
        end_ += 1;
    }
    Record record{};
    record.used = 1;
    record.producer = entry.producer ? 1 : 0;
    record.number = entry.number;
    record.generation = entry.generation;
    record.pid = entry.pid;
    record.uid = entry.uid;
    record.holder = entry.holder;
    record.attached_at = entry.attached_at;
    pack(entry.identity, record.identity);
    pack(entry.key, record.key);
    write_record(file_, place, record);
    return place;
}

void Roster::erase(std::uint32_t place) {
    if (place == 0) return;
    write_record(file_, place, Record{});
    vacant_.push_back(place);
}

}  // namespace shmq::daemon

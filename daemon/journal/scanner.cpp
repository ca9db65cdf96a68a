#include "daemon/journal/scanner.hpp"

#include <algorithm>

namespace shmq::journal {

Scanner::Scanner(std::uint64_t seed, std::uint64_t offset, std::uint64_t lsn, std::uint64_t end)
    : seed_(seed),
      end_(std::min(end, file_max_bytes)),
      offset_(offset),
      expected_(lsn),
      written_end_(offset),
      base_(offset) {}

bool Scanner::have(std::uint64_t count) {
    if (offset_ >= base_ && offset_ + count <= base_ + window_.size()) return true;
    wanted_end_ = offset_ + count;
    return false;
}

void Scanner::look_at(std::uint64_t offset, std::span<const std::byte> window) {
    base_ = offset;
    window_ = window;
}

void Scanner::pass_over(std::uint64_t bytes) {
    if (!in_hole_) hole_ = {.offset = offset_, .end = 0, .lsn = expected_, .next_lsn = 0};
    in_hole_ = true;
    offset_ += bytes;
}

Scanner::Step Scanner::accept() {
    const RecordHeader& header = record_.header;
    if (in_hole_ || header.lsn > expected_) {
        if (!in_hole_) hole_ = {.offset = offset_, .end = 0, .lsn = expected_, .next_lsn = 0};
        hole_.end = offset_;
        hole_.next_lsn = header.lsn;
        in_hole_ = false;
        record_due_ = true;
        expected_ = header.lsn;
        return Step::hole;
    }
    record_due_ = false;
    expected_ = header.lsn + 1;
    offset_ += record_bytes(header.length);
    written_end_ = offset_;
    ended_ = record_.kind() == RecordKind::seal;
    return Step::record;
}

Scanner::Step Scanner::next() {
    if (record_due_) return accept();
    while (!ended_ && offset_ + sizeof(RecordHeader) <= end_) {
        if (!have(sizeof(RecordHeader))) return Step::need;
        const auto header = read_record(at_offset(sizeof(RecordHeader)), seed_, end_ - offset_);
        if (!header || header->lsn < expected_) {
            pass_over(record_alignment);
            continue;
        }
        record_ = {.offset = offset_, .header = *header, .payload = {}};
        if (record_.kind() != RecordKind::pad) {
            if (!have(sizeof(RecordHeader) + header->length)) return Step::need;
            record_.payload =
                at_offset(sizeof(RecordHeader) + header->length).subspan(sizeof(RecordHeader));
        }
        if (record_.kind() != RecordKind::pad &&
            !payload_is_whole(*header, record_.payload, seed_)) {
            // Its header can be trusted, so the next record is known to begin behind it.
            pass_over(record_bytes(header->length));
            continue;
        }
        return accept();
    }
    if (!ended_ && !in_hole_ && offset_ < end_) pass_over(end_ - offset_);
    ended_ = true;
    if (!in_hole_) return Step::end;
    in_hole_ = false;
    hole_.end = end_;
    hole_.next_lsn = 0;
    return Step::hole;
}

}  // namespace shmq::journal

#include "daemon/journal/scanner.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace shmq::journal {

Scanner::Scanner(const FileHeader& header, std::uint64_t bytes)
    : seed_(header.seed),
      bytes_(std::min(bytes, file_max_bytes)),
      offset_(header.record_start),
      expected_(header.first_lsn),
      written_end_(header.record_start),
      base_(header.record_start) {}

bool Scanner::have(std::uint64_t count) {
    const std::uint64_t window_end = base_ + window_.size();
    if (offset_ + count <= window_end) return true;
    // Let go of what was passed, then ask for the rest.
    if (offset_ >= window_end) {
        window_.clear();
        base_ = offset_;
    } else {
        window_.erase(window_.begin(),
                      window_.begin() + static_cast<std::ptrdiff_t>(offset_ - base_));
        base_ = offset_;
    }
    wanted_ = count - window_.size();
    return false;
}

void Scanner::provide(std::span<const std::byte> bytes) {
    const std::uint64_t room = bytes_ - std::min(bytes_, wanted_offset());
    window_.insert(window_.end(), bytes.begin(),
                   bytes.begin() + static_cast<std::ptrdiff_t>(std::min(room, bytes.size())));
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
    while (!ended_ && offset_ + sizeof(RecordHeader) <= bytes_) {
        if (!have(sizeof(RecordHeader))) return Step::need;
        const auto header = read_record(at_offset(sizeof(RecordHeader)), seed_, bytes_ - offset_);
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
    if (!ended_ && !in_hole_ && offset_ < bytes_) pass_over(bytes_ - offset_);
    ended_ = true;
    if (!in_hole_) return Step::end;
    in_hole_ = false;
    hole_.end = bytes_;
    hole_.next_lsn = 0;
    return Step::hole;
}

}  // namespace shmq::journal

// Goes through the bytes of one journal file and tells records from holes. Does no I/O and holds no
// bytes itself: it says which it wants, so that start-up, the running daemon and the tools read
// their own way.
//
// All input is hostile. Whatever the bytes are, every offset is met once or twice, no record
// reaches beyond the file, and LSNs rise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "daemon/journal/format.hpp"

namespace shmq::journal {

struct Record {
    std::uint64_t offset = 0;
    RecordHeader header{};
    std::span<const std::byte> payload;  // empty for a pad

    RecordKind kind() const { return static_cast<RecordKind>(header.kind); }
};

// Bytes that hold no record, where some should be, or nothing (the end of what was written).
struct Hole {
    std::uint64_t offset = 0;
    std::uint64_t end = 0;       // where the next record begins, or the file ends
    std::uint64_t lsn = 0;       // the first that is missing
    std::uint64_t next_lsn = 0;  // of the next record; 0: no record follows in this file
};

class Scanner {
  public:
    enum class Step {
        need,    // look_at() more bytes, then call again
        record,  // see record()
        hole,    // see hole(); records may follow
        end,     // of the bytes, or a seal came before
    };

    // From `offset` on, where record `lsn` should be, up to `end`: of the file, or of so much of it
    // as was written. `seed`: the file's.
    Scanner(std::uint64_t seed, std::uint64_t offset, std::uint64_t lsn, std::uint64_t end);

    Step next();
    // Until the next call of next(); its payload lies in the window.
    const Record& record() const { return record_; }
    const Hole& hole() const { return hole_; }
    // The LSN that the next record should have.
    std::uint64_t expected() const { return expected_; }
    // Behind the last record.
    std::uint64_t written_end() const { return written_end_; }

    // After `need`: bytes from offset() to wanted_end() (never beyond the end) must be in the
    // window; none before are looked at again.
    std::uint64_t offset() const { return offset_; }
    std::uint64_t wanted_end() const { return wanted_end_; }
    // The file's bytes from `offset` on; the caller's, to stay as they are until the next call.
    void look_at(std::uint64_t offset, std::span<const std::byte> window);

  private:
    // Whether `count` bytes from offset_ on are in the window; if not, sets what is wanted.
    bool have(std::uint64_t count);
    std::span<const std::byte> at_offset(std::uint64_t count) const {
        return window_.subspan(offset_ - base_, count);
    }
    // What record_ was filled with counts; goes behind it.
    Step accept();
    void pass_over(std::uint64_t bytes);

    std::uint64_t seed_;
    std::uint64_t end_;
    std::uint64_t offset_;
    std::uint64_t expected_;
    std::uint64_t written_end_;
    std::uint64_t wanted_end_ = 0;
    std::uint64_t base_;  // the file's offset of window_[0]
    std::span<const std::byte> window_;
    bool in_hole_ = false;
    bool record_due_ = false;  // record_ comes right after the hole just told
    bool ended_ = false;
    Record record_;
    Hole hole_;
};

}  // namespace shmq::journal

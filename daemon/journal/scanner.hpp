// Goes through the bytes of one journal file and tells records from holes. Does no I/O itself: it
// says which bytes it wants, so that start-up, the running daemon and the tools read their own way.
//
// All input is hostile. Whatever the bytes are, every offset is met once or twice, no record
// reaches beyond the file, and LSNs rise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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
        need,    // provide() bytes, then call again
        record,  // see record()
        hole,    // see hole(); records may follow
        end,     // of the file, or its seal came before
    };

    // `bytes`: how long the file is.
    Scanner(const FileHeader& header, std::uint64_t bytes);

    Step next();
    // Until the next call of next() or provide().
    const Record& record() const { return record_; }
    const Hole& hole() const { return hole_; }
    // The LSN that the next record should have.
    std::uint64_t expected() const { return expected_; }
    // Behind the last record.
    std::uint64_t written_end() const { return written_end_; }

    // After `need`: where to read, and how much at least (never beyond the file).
    std::uint64_t wanted_offset() const { return base_ + window_.size(); }
    std::uint64_t wanted_bytes() const { return wanted_; }
    // Bytes from wanted_offset() on; zeros in place of what cannot be read.
    void provide(std::span<const std::byte> bytes);

  private:
    // Whether `count` bytes from offset_ on are in the window; if not, sets what is wanted.
    bool have(std::uint64_t count);
    std::span<const std::byte> at_offset(std::uint64_t count) const {
        return std::span(window_).subspan(offset_ - base_, count);
    }
    // What record_ was filled with counts; goes behind it.
    Step accept();
    void pass_over(std::uint64_t bytes);

    std::uint64_t seed_;
    std::uint64_t bytes_;
    std::uint64_t offset_;
    std::uint64_t expected_;
    std::uint64_t written_end_;
    std::uint64_t wanted_ = 0;
    std::uint64_t base_;  // the file's offset of window_[0]
    std::vector<std::byte> window_;
    bool in_hole_ = false;
    bool record_due_ = false;  // record_ comes right after the hole just told
    bool ended_ = false;
    Record record_;
    Hole hole_;
};

}  // namespace shmq::journal

// Reads back the messages of a log in the order of their LSNs, while its Writer goes on writing:
// the refill of a queue from its backlog. Nothing beyond Writer::logged() is looked at.
//
// It reads ahead, so that the next piece is on its way while one is used, but nothing before
// somebody peeks. Memory: see read_ahead.hpp.
//
// What is damaged is passed over and told, never silently. The caller knows which messages count:
// settled ones are given, too, and those that recovery dropped as doubles.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "daemon/journal/disk.hpp"
#include "daemon/journal/read_ahead.hpp"
#include "daemon/journal/recovery.hpp"
#include "daemon/journal/scanner.hpp"
#include "daemon/journal/writer.hpp"

namespace shmq::journal {

class Reader {
  public:
    // Messages from LSN `next` on. It should be one that was there: what is missing from there on,
    // and not below Writer::floor(), is damage. `disk` and `writer` outlive this. `changed` runs
    // from Disk::run, when peek() may have a new answer.
    Reader(Disk& disk, const Writer& writer, std::uint64_t next, std::function<void()> changed);

    // The next message that is logged and has been read, or null: then either it is being read, and
    // `changed` will run, or the log ends here, and the writer's `changed` will. Starts the reading
    // that is needed; does not wait. Record and payload stay until pass() or skip_to(). Null, too,
    // where a file cannot be opened for want of descriptors or memory: call it again sometimes.
    const Record* peek();
    // Past what peek() gave. REQUIRES: it gave one.
    void pass();
    // No message before `lsn` is wanted; nor are those below Writer::floor(). Files between are not
    // read.
    void skip_to(std::uint64_t lsn);
    // The LSN that peek() gives, or looks for: no message before it is yet to come.
    std::uint64_t next() const { return next_; }

    // Records that were passed over since the last call, one stretch of them at a time; false: no
    // more. What recovery reported of files that were there before is met again.
    bool take_damage(Damage& damage);

  private:
    bool begin_stretch();
    int open(const Writer::Part& part);
    void meet_hole(const Hole& hole);
    void miss(std::uint64_t offset, std::uint64_t bytes, std::uint64_t lsn, std::uint64_t next_lsn,
              const std::string& what);
    void end_stretch();

    Disk& disk_;
    const Writer& writer_;
    ReadAhead ahead_;
    std::uint64_t next_;
    bool holding_ = false;  // the scanner's record is what peek() gave
    // Where the present file was read up to; the LSN of its last record before that.
    std::string name_;
    std::uint64_t first_lsn_ = 0;
    std::uint64_t end_ = 0;
    std::uint64_t last_lsn_ = 0;
    std::optional<Scanner> scanner_;  // over what was logged when it was made: up to end_
    std::deque<Damage> damage_;
};

}  // namespace shmq::journal

// The supervisor's half of a queue with a journal, as daemon/queue_journal.cpp is, over a log in
// memory: the real files have tests of their own (tests/fault). What stands in the log outlives the
// supervisor as a disk would: it lies on a page that is shared, and put back, as the segment is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shm/journal_side.hpp"

namespace shmq::step {

constexpr std::uint64_t log_records = 256;
constexpr std::size_t record_bytes = 48;

// Whether the log says that a message is gone; only the logs of durable queues do.
enum class Gone : std::uint32_t { no, told, found_by_successor };

struct LogRecord {
    std::uint64_t position;
    std::uint32_t length;
    std::atomic<Gone> gone;
    std::byte payload[record_bytes];
};

// By LSN, from 1 on; a record's place is taken again when nobody needs it any more.
struct Log {
    std::atomic<std::uint64_t> appended, written, synced;  // the last ones
    LogRecord records[log_records];

    LogRecord& at(std::uint64_t lsn) { return records[lsn % log_records]; }
    const LogRecord& at(std::uint64_t lsn) const { return records[lsn % log_records]; }
    // The first that is still to be found there.
    std::uint64_t first() const { return appended < log_records ? 1 : appended - log_records + 1; }
};

class Journal {
  public:
    // `room`: for so many records, those that are needed.
    Journal(const shm::QueueView& view, Log& log, std::uint64_t room);

    // After a predecessor. What it had under way to the disk came there, or did not.
    void take_over(bool all_came_there);
    // Until there is nothing to do; then those who bring something are told to ring.
    void work();
    // Nothing is to come from it.
    bool empty() const;
    // It stays on journal where it could go back to direct.
    void keep_gate(bool keep) { keeps_gate_ = keep; }
    // What it finds wrong with its log; empty: nothing.
    const std::string& broken() const { return broken_; }
    std::uint64_t backlog() const { return log_->appended + 1 - side_.refilled(); }
    bool arrived() const { return !in_hand_ && side_.arrived(); }

  private:
    bool step();
    bool free_logged();
    bool refill_from_log();
    bool take_arrivals();
    bool place(const shm::Arrival& arrival);
    bool append(const shm::Arrival& arrival);
    void settle_gone();
    void tell_gone(std::uint64_t lsn, Gone how);
    bool write();
    void tell_backlog();
    bool log_is_empty() const { return side_.refilled() > log_->appended; }
    std::uint64_t oldest_needed();

    shm::QueueView view_;
    Log* log_;
    shm::JournalSide side_;
    std::uint64_t room_;
    bool durable_;
    bool keeps_gate_ = false;
    bool wants_room_ = false;
    std::uint64_t freed_ = 0;   // records before and at this LSN have left the ingress
    std::uint64_t needed_ = 1;  // durable: all records before it are gone
    std::optional<shm::Arrival> in_hand_;
    std::string broken_;
};

}  // namespace shmq::step

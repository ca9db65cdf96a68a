// A queue's journal at work: from the ingress ring to the log, from the log to the front ring, and
// the gate back to direct when both are empty. Here the memory side (shm/journal_side.hpp) and the
// files (daemon/journal) meet; neither knows of the other.
//
// What is where, oldest first: the front ring; the log, from JournalSide::refilled() on; the
// ingress. So a message goes straight from ingress to front ring only while the log is empty, and a
// durable queue's never does: it is logged, then read back from the page cache.
//
// An arrival stays in the ingress until its record is written (durable: synced): a daemon that dies
// before loses nothing, its successor appends it again; one that dies after, finds its position in
// the records, and frees it.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/journal/directory.hpp"
#include "daemon/journal/range_set.hpp"
#include "daemon/journal/reader.hpp"
#include "daemon/journal/recovery.hpp"
#include "daemon/journal/writer.hpp"
#include "daemon/timers.hpp"
#include "shm/journal_side.hpp"
#include "shm/segment.hpp"
#include "shm/supervise.hpp"

namespace shmq::daemon {

// For the log.
std::string sum_up(const journal::Damage& damage);

// What a journal asks of the queues that its messages were moved from.
class Origins {
  public:
    enum class Answer { unknown, there, gone };
    virtual ~Origins() = default;
    // Whether that queue still has it. unknown: what its log holds is not known yet.
    virtual Answer look(const journal::Origin& origin) const = 0;
    // Whether it is gone from there for good, whatever ends now.
    virtual bool settled(const journal::Origin& origin) const = 0;
};

class QueueJournal {
  public:
    struct Settings {
        std::string name;  // the queue's
        journal::Identity identity{};
        std::string path;               // directory of its files
        std::uint64_t spill_limit = 0;  // bytes of all files; 0: as the disk allows
        // How many journals of the daemon are being recovered: they share its time. Outlives this.
        std::size_t* recovering = nullptr;
        // How many durable ones do not know yet which of the messages moved into them count.
        std::size_t* unjudged = nullptr;
        const Origins* origins = nullptr;  // outlives this
        bool is_new = false;               // it has no files yet
    };
    // Told when what people should know of the journal has changed; "": all is well.
    using Alarm = std::function<void(const std::string& text)>;

    // Begins to recover what the files hold, in steps from the loop; till then nothing is done that
    // could contradict them. `restored`: the segment is new, and its messages are those of the log.
    // Or why not.
    static std::expected<std::unique_ptr<QueueJournal>, std::string> open(
        shm::Segment& segment, Settings settings, std::shared_ptr<journal::Engine> engine,
        Timers& timers, bool restored, Alarm alarm);
    // Waits for what is under way.
    ~QueueJournal();
    QueueJournal(const QueueJournal&) = delete;
    QueueJournal& operator=(const QueueJournal&) = delete;

    // Does what there is to do, and sees to it that it is called again when there is more. To be
    // called when a doorbell rang, and at each sweep.
    void work();
    // The same from the loop, soon.
    void wake();

    // A message that comes from another queue.
    struct MovedIn {
        journal::Origin origin;
        std::vector<std::byte> bytes;  // as in a block; with a history, if `marks` says so
        std::uint32_t marks = 0;       // shm::length_history, shm::length_redriven
        std::uint64_t timestamp = 0;
        std::uint32_t deliveries = 0;
        // Runs once, not from within append_moved: it is as safe here as this log makes things, or
        // never will be. Answers whether its source has let it go: if not, it does not count here.
        std::function<bool(bool safe)> done;
    };
    // Into the log, and from there to the front ring when its source has let it go for good. False:
    // no room for now.  REQUIRES: takes_moves().
    bool append_moved(MovedIn message);
    // Messages that have failed: their counts go into the log, so that they outlive the memory.
    void note_failures(const std::vector<shm::Failed>& failed);
    bool takes_moves() const { return durable() && begun_ && !failed(); }
    bool has_failed() const { return !recovering() && failed(); }
    // A durable log that takes more as soon as it has written what it has.
    bool writes_on() const { return takes_moves() && state() == journal::Writer::State::open; }
    // Whether the message of that LSN is in this queue, as far as the log knows. REQUIRES:
    // is_read().
    bool holds(std::uint64_t lsn) const { return unsettled_.contains(lsn); }
    // What the files hold is known, or will never be.
    bool is_read() const { return read_ || !recovering(); }
    // Whether the log says that this message is gone, and safely; or never will say anything more.
    bool says_gone(std::uint64_t lsn) const;

    // Bytes of all files from now on; 0: as the disk allows.
    void change_limit(std::uint64_t bytes);
    // Drops what is in the log and in the ingress. How many. REQUIRES: not recovering().
    std::uint64_t purge();
    // What the files hold is not known yet.
    bool recovering() const { return recovery_ != nullptr; }
    // How far that is, for people.
    std::string progress() const;

    struct Status {
        std::uint64_t spilled = 0;        // messages in the log that are not back in the ring
        std::uint64_t spilled_bytes = 0;  // their payload
        std::uint64_t arriving = 0;       // in the ingress, and not in the log
        std::uint64_t file_bytes = 0;
        shm::GateState gate{};
        journal::Writer::State state{};
        bool recovering = false;
        std::uint64_t recovery_bytes = 0;   // that recovery has to read; 0: not known yet
        std::uint64_t recovered_bytes = 0;  // that it has read
        std::uint64_t logged = 0;           // messages, since this daemon began
        std::uint64_t durable = 0;          // the same
        std::uint64_t syncs = 0;
    };
    Status status() const;
    // Its memory contradicts itself.
    bool damaged() const { return side_.damaged(); }

  private:
    struct Appended {
        std::uint64_t position = 0;
        std::uint64_t lsn = 0;
    };
    struct Moving {
        std::uint64_t lsn = 0;
        std::vector<std::byte> bytes;  // written from here
        std::function<bool(bool safe)> done;
    };
    struct Settling {
        std::uint64_t by = 0;  // the record that says so
        std::uint64_t first = 0;
        std::uint64_t last = 0;
    };

    QueueJournal(shm::Segment& segment, Settings settings, Timers& timers,
                 std::unique_ptr<journal::Directory> disk, bool restored, Alarm alarm);
    void recover_some();
    void stop_recovering();
    void take_recovered();
    bool judge_moves();
    void count_judged();
    void go_on();
    void open_log();
    void begin();
    void work_on_log();

    bool work_for(Nanoseconds until);
    bool free_logged();
    bool finish_moves();
    void forget_moves();
    void drop_move(const Moving& move);
    bool refill_from_log();
    enum class Turn { refill, later, never };
    Turn turn_of(const journal::Record& record, shm::Refill& message);
    void drop_unread(const journal::RecordHeader& header);
    bool take_arrivals();
    bool place(const shm::Arrival& arrival);
    bool append(const shm::Arrival& arrival);
    void drop_too_large(const journal::RecordHeader& header);
    // So that consumers know that an empty ring is not an empty queue.
    void tell_backlog();
    // The log outlives the clock that messages are stamped with.
    std::uint64_t to_realtime(std::uint64_t monotonic) const;
    std::uint64_t to_monotonic(std::uint64_t realtime) const;
    void settle_gone();
    void write_counts();
    template <typename Append>
    void write_ranges(journal::RangeSet& ranges, Append append);
    void trim();
    void go_direct();
    void sleep();
    void look_at_disk();
    void give_up_log();

    bool durable() const { return segment_.geometry().has(shm::durable_log); }
    bool synced() const { return durable() && !segment_.geometry().has(shm::unsynced_log); }
    journal::Writer::State state() const {
        return writer_ != nullptr ? writer_->state() : journal::Writer::State::failed;
    }
    bool failed() const { return state() == journal::Writer::State::failed; }
    // Nothing of the log is still to come.
    bool log_is_empty() const;

    shm::Segment& segment_;
    Settings settings_;
    Timers& timers_;
    Alarm alarm_;
    shm::JournalSide side_;
    std::unique_ptr<journal::Directory> disk_;
    bool restored_;
    Nanoseconds began_at_;
    std::unique_ptr<journal::Recovery> recovery_;  // until it is done
    journal::Recovered recovered_;
    bool read_ = false;                        // it is known what the files hold
    bool judged_ = false;                      // and which of the messages moved here count
    std::unique_ptr<journal::Writer> writer_;  // null: recovering, or nothing could be recovered
    std::unique_ptr<journal::Reader> reader_;
    Timer timer_;
    Nanoseconds wall_clock_ahead_ = 0;  // as of this go: not asked for each message

    bool begun_ = false;                   // the log is ours
    bool working_ = false;                 // work() is under way
    bool again_ = false;                   // and has more to do
    bool given_up_ = false;                // the log failed, and that was seen to
    std::optional<shm::Arrival> in_hand_;  // taken, and neither in the log nor in the ring
    std::deque<Appended> appended_;        // in the log, but not yet safe there
    journal::RangeSet unsettled_;          // durable: LSNs of messages that are not gone
    journal::RangeSet to_note_;            // put into the front ring, the same
    std::map<std::uint64_t, journal::Counted> to_count_;  // of what has failed, by LSN
    journal::RangeSet to_settle_;                         // gone, and the log does not say so yet
    std::deque<Settling> settling_;                       // the log says so, but not yet safely
    std::deque<Moving> moving_;       // from other queues, not yet safe in the log
    journal::RangeSet void_;          // moved here, but their sources have kept them
    std::vector<std::byte> history_;  // of the message that is being refilled
    bool awaits_source_ = false;      // of the next message
    std::uint64_t spilled_ = 0;
    std::uint64_t spilled_bytes_ = 0;
    std::uint64_t logged_count_ = 0;
    std::uint64_t last_message_ = 0;  // LSN; nothing in the log is still to come behind it
    std::uint64_t trimmed_ = 0;
    bool wants_room_ = false;  // the front ring was full
    Nanoseconds direct_since_ = 0;
    // A daemon and a producer could call the gate to and fro for ever: each time that it is called
    // back soon, the daemon waits longer before it tries again.
    static constexpr Nanoseconds close_pause_least_ns = nanoseconds_per_millisecond;
    static constexpr Nanoseconds close_pause_most_ns = 256 * nanoseconds_per_millisecond;
    Nanoseconds close_pause_ = close_pause_least_ns;
    Nanoseconds close_not_before_ = 0;
    Nanoseconds retry_at_ = 0;
};

}  // namespace shmq::daemon

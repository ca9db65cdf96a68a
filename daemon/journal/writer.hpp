// The writing end of a log. Records are numbered and laid out as they come, and go to disk in
// batches: one is on its way, what arrives meanwhile is the next. No timer: an idle log writes at
// once, a busy one in large pieces.
//
// Two numbers tell how far it has come, and only ever rise:
//   logged()    written: survives this process and every other, not the kernel
//   durable()   synced: survives power loss (durable logs only, and of them those that are synced)
//
// Errors. Without room (the disk's, or the log's own limit) nothing is lost: the batch waits, until
// room is made by trim() or retry() is told. Any other failed write, and every failed sync, ends
// the log: what the disk holds from there on nobody knows, and a second sync that answers 0 proves
// nothing. logged() and durable() then stay where they are. A successor starts from recovery.
//
// Acks in a full durable log. What says that messages are gone must not wait for room that only it
// can make. So a message is taken only where room for it is there already, and so much besides: in
// each file an eighth, for settled and front records, and behind that a block for the record of
// trim()'s floor. Where even settled records find no room, trim() is enough: it frees a file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/limits.hpp"
#include "daemon/journal/disk.hpp"
#include "daemon/journal/file_maker.hpp"
#include "daemon/journal/format.hpp"
#include "daemon/journal/recovery.hpp"

namespace shmq::journal {

struct WriterOptions {
    LogKind kind = LogKind::spill;
    bool synced = true;  // a durable log; one that is not is as safe as what its kernel keeps
    Identity queue{};
    Identity memory{};
    std::string name;  // the queue's, at most limits::name_max_bytes
    std::uint64_t file_bytes = limits::journal_file_default_bytes;
    std::uint64_t space_max_bytes = UINT64_MAX;  // all files together
    std::uint64_t batch_max_bytes = limits::journal_batch_max_bytes;
    std::uint64_t pending_max_bytes = limits::journal_pending_max_bytes;
    std::function<std::uint64_t()> random;       // secret seeds; REQUIRED
    std::function<std::uint64_t()> realtime_ns;  // REQUIRED
};

struct MessageRecord {
    std::uint64_t position = position_none;  // ingress
    std::uint64_t sequence = 0;
    std::uint64_t timestamp_ns = 0;
    std::uint8_t flags = 0;
    std::uint16_t deliveries = 0;
    std::uint16_t failures = 0;
    // Small ones are copied at once; a larger one is written from where it lies, and must stay
    // there unchanged until it is safe(), or the writer is gone.
    std::span<const std::byte> payload;
};

class Writer {
  public:
    enum class State {
        open,
        no_room,  // see error(); goes on after retry() or trim()
        failed,   // see error(); for good
    };
    struct Failure {
        int os_error = 0;  // 0: the log's own limit
        std::string text;  // what was tried, on which file
    };

    // Goes on where `recovered` ends: in a file of its own, never in one that was there before.
    // Reads the tail (at most one batch) and writes it anew; blocks on the disk for that.
    // `changed` runs after logged(), durable() or state() has, and when there is room for what was
    // refused. flush() starts it all.
    Writer(Disk& disk, WriterOptions options, const Recovered& recovered,
           std::function<void()> changed);
    // Waits for what is under way.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // The LSN, or 0: too much waits to be written, or the log has no room at hand, or takes no
    // more; try when `changed` runs. REQUIRES: payload.size() <= payload_max_bytes.
    std::uint64_t append(const MessageRecord& message);
    // `count` messages from `first` on are gone, or were put into the front ring. 0 as above.
    std::uint64_t append_settled(std::uint64_t first, std::uint64_t count);
    std::uint64_t append_front(std::uint64_t first, std::uint64_t count);
    // How often the message of that LSN was delivered, and failed. 0 as above.
    std::uint64_t append_attempts(std::uint64_t lsn, std::uint16_t deliveries,
                                  std::uint16_t failures);
    // Counters to be found by a successor; at most limits::journal_counts_max_bytes.
    std::uint64_t append_counts(std::span<const std::byte> counts);
    // The last record of this file: after it, all before is known to have been complete.
    void seal();

    // Starts writing what was appended, unless a batch is under way: that one starts the next.
    void flush() { advance(); }
    // No message before this LSN is needed any more. Files without any other are removed, or used
    // again (durable logs), once a record says so.
    void trim(std::uint64_t floor);
    void retry();
    // Bytes of all files from now on; two files are taken whatever is said.
    void change_space(std::uint64_t bytes) {
        options_.space_max_bytes = std::max(bytes, 2 * options_.file_bytes);
        retry();
    }

    std::uint64_t logged() const { return logged_; }
    std::uint64_t durable() const { return durable_; }
    // As safe as this log makes it: durable() or logged().
    std::uint64_t safe() const { return is_synced() ? durable_ : logged_; }
    std::uint64_t next_lsn() const { return next_lsn_; }
    // What trim() was told.
    std::uint64_t floor() const { return floor_; }
    // What recovery found is this log's for good: its own file is in use (see recovery.hpp).
    bool taken_over() const { return take_over_lsn_ == 0 || logged_ >= take_over_lsn_; }
    State state() const { return state_; }
    std::uint64_t syncs() const { return syncs_; }  // of records, that went well
    const Failure& error() const { return failure_; }
    // Nothing waits, nothing is under way.
    bool idle() const { return batches_.empty() && !busy_ && !maker_.busy(); }
    // Of all files, made ahead ones too.
    std::uint64_t space_bytes() const;
    std::size_t file_count() const;

    // So much of a file as logged() covers: for Reader.
    struct Part {
        std::string_view name;  // until the writer does something
        std::uint64_t seed = 0;
        std::uint64_t first_lsn = 0;
        std::uint64_t last_lsn = 0;      // that should be there
        std::uint64_t record_start = 0;  // of the first
        std::uint64_t end = 0;           // behind the last
    };
    // The one that holds record `lsn`, or else the first behind it; none: nothing from `lsn` on is
    // logged.
    std::optional<Part> part_from(std::uint64_t lsn) const;
    // The file that begins with record `first_lsn` has none from `lsn` on, and gets none.
    bool is_over(std::uint64_t first_lsn, std::uint64_t lsn) const;

  private:
    struct LogFile {
        MadeFile made;  // file is null until it is there
        FileHeader header{};
        std::uint64_t bytes = 0;  // that records may fill
        std::uint64_t end = record_start_bytes;
        std::uint64_t last_lsn = 0;
        std::uint64_t logged_end = record_start_bytes;
        bool in_use = false;     // its header is written
        bool finished = false;   // gets no more records
        bool inherited = false;  // a predecessor's: never written to
        bool damaged = false;    // set aside under another name instead of removed
    };
    struct Piece {
        const std::byte* outside = nullptr;  // null: in the batch's own staging
        std::size_t offset = 0;
        std::size_t bytes = 0;
    };
    enum class Stage { waiting, written, synced, headed, durable };
    struct Batch {
        std::shared_ptr<LogFile> file;
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;
        std::uint64_t end = 0;    // in the file, what a pad skips counted
        std::uint64_t moved = 0;  // bytes of it that were written
        std::uint64_t last_lsn = 0;
        Stage stage = Stage::waiting;
        bool closed = false;
        std::vector<std::byte> staging;
        std::vector<Piece> pieces;
        std::vector<std::size_t> headers;  // offsets into staging
    };

    // What messages leave for other records; see above.
    std::uint64_t ack_reserve() const {
        return std::max<std::uint64_t>(options_.file_bytes / 8, durable_alignment_bytes) /
               durable_alignment_bytes * durable_alignment_bytes;
    }
    bool is_durable() const { return options_.kind == LogKind::durable; }
    bool is_synced() const { return is_durable() && options_.synced; }
    std::uint32_t alignment() const {
        return is_synced() ? durable_alignment_bytes : record_alignment;
    }

    // Laying out (writer_layout.cpp).
    std::uint64_t append_range(RecordKind kind, std::uint64_t first, std::uint64_t count);
    std::uint64_t add(RecordHeader header, std::span<const std::byte> payload);
    bool has_room(const RecordHeader& header, std::uint64_t bytes);
    void take_over(const Recovered& recovered);
    void need_room(std::uint64_t bytes);
    Batch& open_batch();
    void place(RecordHeader header, std::span<const std::byte> payload);
    void close(Batch& batch);
    void begin_file(std::uint64_t needed);
    void seal_file();

    // Writing.
    void advance();
    void step(Batch& batch);
    bool attach_file(LogFile& file);
    void write(Batch& batch);
    void write_header(Batch& batch);
    void sync(Batch& batch, Stage then);
    void complete(Batch& batch);
    // A write, or the making of a file, that went wrong: for want of room, or for good.
    void refuse(int error, const char* what, const std::string& name);
    void fail(int error, const char* what, const std::string& name);
    void lack_room(int error, const std::string& text);

    // Space.
    void tend_files();
    void record_floor();
    bool drained() const;
    void release_files();
    void release(LogFile& file);
    void remove_leftovers();
    void make_spare();
    void start_maker(std::uint64_t bytes, bool needed);
    void take_made();
    bool take_over_with_less();
    bool take_spare(LogFile& file);
    bool at_hand(std::uint64_t bytes) const;
    std::uint64_t bytes_for(std::uint64_t needed) const;

    Disk& disk_;
    WriterOptions options_;
    std::function<void()> changed_;
    FileMaker maker_;
    std::deque<std::shared_ptr<LogFile>> files_;  // oldest first; the last one takes the records
    std::deque<MadeFile> spares_;
    std::vector<std::string> leftovers_;  // superseded or unused: go once our own file is safe
    std::vector<std::string> unused_;     // those of them that hold zeros: may go before
    std::deque<Batch> batches_;
    std::uint64_t epoch_ = 1;
    std::uint64_t previous_epoch_ = 0;
    std::uint64_t take_over_lsn_ = 0;  // last of the first batch; 0: there was nothing to take over
    std::uint64_t serial_ = 0;         // of the last file that came into use
    std::uint64_t made_count_ = 0;     // files made: their names
    std::uint64_t next_lsn_ = 1;
    std::uint64_t logged_ = 0;
    std::uint64_t durable_ = 0;
    std::uint64_t last_message_lsn_ = 0;
    std::uint64_t pending_bytes_ = 0;
    std::uint64_t floor_ = 1;
    std::uint64_t floor_told_ = 1;  // said by the record floor_lsn_
    std::uint64_t floor_lsn_ = 0;
    std::vector<std::byte> counts_;
    std::deque<std::vector<std::byte>> tail_payloads_;  // until the take-over is written
    State state_ = State::open;
    Failure failure_;
    std::uint64_t syncs_ = 0;
    bool busy_ = false;
    bool advancing_ = false;
    bool again_ = false;  // advance() has more to do
    bool stopping_ = false;
    bool stuck_ = false;              // a write found no room: not before retry() or a release
    bool maker_needed_ = false;       // somebody waits for the file being made
    std::uint64_t wanted_bytes_ = 0;  // of a file for which a record was refused
    std::tuple<std::uint64_t, std::uint64_t, State, bool> told_;  // when `changed` ran last
    bool spare_refused_ = false;  // no second attempt before the next file
};

}  // namespace shmq::journal

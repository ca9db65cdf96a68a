// From the files of a directory to what the log holds: a decision table over files (`FileRole`) and
// over records (`decide`), each row with a test. Changes nothing on disk.
//
// A torn tail ends quietly: of the last batch, which nobody was told is durable, a crash may have
// left any part. Damage anywhere before it is reported and the rest still read. Which of the two it
// is, later records tell: each says how much was synced when it was written.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "daemon/journal/disk.hpp"
#include "daemon/journal/format.hpp"
#include "daemon/journal/range_set.hpp"

namespace shmq::journal {

enum class FileRole {
    log,         // part of the log
    unused,      // zeros: made ahead, never came into use
    superseded,  // came into use, but a later writer took the log over before its first record
    damaged,     // its header cannot be read, so neither can its records
    foreign,     // of another queue, or of another kind
    duplicate,   // a copy: the LSNs it claims are in another file
    newer,       // of a version that this program does not know
};

struct FileReport {
    std::string name;
    FileRole role = FileRole::log;
    FileHeader header{};  // if the role is log, superseded, foreign or duplicate
    std::uint64_t bytes = 0;
    std::uint64_t written_end = 0;
    std::uint64_t first_lsn = 0;
    std::uint64_t last_lsn = 0;  // first_lsn - 1 if it holds no record
    std::uint64_t messages = 0;
    bool sealed = false;
    bool damaged_inside = false;
};

struct Damage {
    std::string file;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;      // 0: whole records are missing, or bytes of which nobody knows
    std::uint64_t first_lsn = 0;  // of what is missing; 0: unknown
    std::uint64_t records = 0;    // 0: unknown
    std::string what;             // a sentence for people
};

// A record of the last batch: valid, and in a durable log not proven to be synced.
struct TailRecord {
    std::size_t file = 0;  // index into Recovered::files
    std::uint64_t offset = 0;
    RecordHeader header{};
};

// A message that was moved here from another queue.
struct MovedIn {
    std::uint64_t lsn = 0;
    Origin origin{};
};

// Of a message that has failed.
struct Counted {
    std::uint16_t deliveries = 0;
    std::uint16_t failures = 0;
};

struct Recovered {
    // All files of ours in the directory, those of the log first and in its order.
    std::vector<FileReport> files;
    std::vector<Damage> damage;
    std::uint64_t floor = 1;          // no LSN before it is needed
    std::uint64_t next_lsn = 1;       // that a successor's first record has, the tail counted
    std::uint64_t proven = 0;         // the last LSN known to be safe, as its kind goes
    std::uint64_t last_position = 0;  // of the messages from `last_memory`
    bool any_position = false;
    Identity last_memory{};
    std::uint64_t last_epoch = 0;    // that a file in use has; 0: there is none
    std::uint64_t epochs_taken = 0;  // that a file of any kind has: a new writer takes the next
    std::uint64_t doubles = 0;       // messages dropped because their ingress position came before
    RangeSet live;                   // LSNs of messages that are not settled
    RangeSet front;                  // those of them that may have been delivered
    std::map<std::uint64_t, Counted> attempts;  // of those of `live` that have failed, by LSN
    std::vector<MovedIn> moved_in;  // those of `live` that other queues may still have, in order
    std::vector<std::byte> counts;  // payload of the last counts record
    // Of a durable log, what lies between `proven` and `next_lsn`. A successor writes it anew: a
    // sync of a file whose writer saw an error may answer 0 though the disk holds old bytes.
    std::vector<TailRecord> tail;
    // Bytes that looked like the rest of a batch, or holes in it: a torn tail, quietly ended.
    std::uint64_t torn_records = 0;
};

// Why a log cannot be opened at all.
struct RecoveryError {
    int os_error = 0;
    std::string text;
};

// The state holds for good only when a successor's own file is in use: until then, writes that the
// predecessors had under way may still land, and change what the next recovery finds. So nothing is
// done in its name (ingress positions freed, messages offered) before Writer::taken_over().
//
// Reads every file whose name ends in `file_suffix`, in steps, so that a daemon with a large log
// can serve others meanwhile.
class Recovery {
  public:
    // `queue`: files of other identities are foreign; null (tools): that of the first file counts.
    // `changed` runs from Disk::run when a step that answered `waiting` can be followed by another;
    // without it a step waits for the disk itself. `disk` outlives this.
    Recovery(Disk& disk, const Identity* queue, std::function<void()> changed = {});
    ~Recovery();
    Recovery(const Recovery&) = delete;
    Recovery& operator=(const Recovery&) = delete;

    enum class Step {
        more,     // call again
        waiting,  // for the disk: call again when `changed` has run
        done,     // see take()
        failed,   // see error()
    };
    // Until about that point of monotonic time; the header of one file, or a piece of it
    // (read_ahead.hpp), is looked at in any case.
    Step step(Nanoseconds until);
    Recovered take();
    const RecoveryError& error() const;

    // How far it is. `bytes_total` is known once all headers were looked at; 0 before.
    std::uint64_t bytes_read() const;
    std::uint64_t bytes_total() const;

  private:
    class Work;
    std::unique_ptr<Work> work_;
};

// The same at once; blocks on the disk.
std::expected<Recovered, RecoveryError> recover(Disk& disk, const Identity* queue);

constexpr const char* file_suffix = ".journal";
// EPOCH-SERIAL.journal as they were when the file was made; a file used again keeps its name.
std::string file_name(std::uint64_t epoch, std::uint64_t serial);

}  // namespace shmq::journal

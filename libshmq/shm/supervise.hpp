// What only the supervisor does to a queue's shared memory: give out numbers, take back what the
// dead held, expire leases, purge, decide on rejected messages, count.
//
// One supervisor at a time, one thread. It treats every byte of the segment as hostile: indices are
// bounds-checked after one single read, no loop depends on a peer's word, and each pass over the
// ring looks at each slot a bounded number of times. All steps are CASes that a successor can take
// up anywhere: a supervisor killed between any two leaves nothing that reclaim does not find again.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.hpp"
#include "shm/count_journal.hpp"
#include "shm/layout.hpp"
#include "shm/queue.hpp"
#include "shm/segment.hpp"

namespace shmq::shm {

// What a reclaim gave back.
struct Reclaimed {
    std::uint64_t leases = 0;  // messages put back for redelivery
    std::uint64_t claims = 0;  // unfinished sends undone
    std::uint64_t blocks = 0;  // loans freed
    std::uint64_t total() const { return leases + claims + blocks; }
    Reclaimed& operator+=(const Reclaimed& other);
};

// What took a message out of a participant's hands; how it counts.
enum class Ending { died, hung_up, detached, expired };

class Supervise {
  public:
    // REQUIRES: the segment outlives this; access supervisor.
    explicit Supervise(Segment& segment);

    // ---- Participants ----
    struct Identity {
        std::uint32_t pid;
        std::uint32_t uid;
    };
    // A number for a new participant, or 0: all are in use.
    std::uint16_t admit(Role role, bool exclusive, Identity identity, Nanoseconds now);
    // How often the number was given out; the same number with another generation is another one.
    std::uint32_t generation(std::uint16_t number) const;
    // Whether somebody has it, or it was not given back to the end.
    bool taken(std::uint16_t number) const;
    // Its session, which had hung up, is back.
    void resume(std::uint16_t number);
    // Sets the fair share of unacked messages for every consumer: within half the ring.
    void share_in_flight(std::uint32_t wanted);

    // Its session is gone but its process is not: gives back its leases, keeps its number.
    Reclaimed hang_up(std::uint16_t number);
    // Its process is dead, or it detached and promised to touch nothing more: gives back all it
    // held, wakes all sleepers, and frees the number. The same twice does nothing.
    Reclaimed reclaim(std::uint16_t number, Ending ending);

    // ---- Time and decisions ----
    // Returns messages whose lease ran out, and decides on those that await the supervisor
    // (rejected, or left behind by a dead supervisor). Call it every sweep_interval or when the
    // doorbell rang. Returns messages it acted on.
    std::uint64_t sweep(Nanoseconds now);
    // Whether a client has asked for a sweep since the last; clears it.
    bool take_work_flag();
    // How often to sweep so that a lease is never more than a quarter late.
    Nanoseconds sweep_interval() const;

    // ---- Management ----
    // Drops every ready and returned message. With an exclusive consumer attached only the returned
    // ones; the rest is left to it (purge_position). Returns how many were dropped now.
    std::uint64_t purge();
    // Ends the queue for all users: they get `status` from every call, sleepers included.
    void close(QueueStatus status);

    // Whether something was seen that no sound peer leaves behind: quarantine the queue.
    bool damaged() const { return damaged_; }
    Segment& segment() { return segment_; }

  private:
    struct Seen {  // when this supervisor first saw a lease, for those that name no deadline
        std::uint64_t sequence = 0;
        std::uint32_t lease = 0;  // the word below its lap
        Nanoseconds since = 0;
    };
    // Blocks that the reclaim of one participant may have to free.
    struct Suspect {
        BlockHandle handle;
        BlockWord word;
        bool referred = false;
    };

    bool is_exclusive_reader(const ParticipantRecord& record) const;
    void reclaim_slots(std::uint16_t number, bool leases_only, bool failed, Reclaimed& reclaimed);
    void reclaim_slot(std::uint64_t index, SlotWord word, bool failed, Reclaimed& reclaimed);
    void reclaim_reads(ParticipantRecord& record, bool failed, Reclaimed& reclaimed);
    void finish_drop(ParticipantRecord& record, std::uint16_t number);
    bool held_by_producer(SlotWord word);
    bool drop_for_purge(std::uint64_t index, SlotWord word);
    bool after_purge(std::uint64_t index, SlotWord word) const;
    std::uint64_t reclaim_blocks(std::uint16_t number);
    void mark_referred(std::vector<Suspect>& suspects);
    bool return_slot(std::uint64_t index, SlotWord word, bool failed);
    bool free_slot(std::uint64_t index, SlotWord word);
    bool drop(std::uint64_t index, SlotWord word, std::uint64_t sequence, CountJournal::Drop why);
    bool repair_cell(std::uint64_t index, SlotWord word);
    void decide(std::uint64_t index, SlotWord word);
    bool expired(std::uint64_t index, SlotWord word, Nanoseconds now);
    std::uint64_t sequence_at(std::uint64_t index, SlotWord word, bool& sound) const;
    void wake_everybody();

    Segment& segment_;
    QueueView view_;
    std::vector<Seen> seen_;             // by slot; empty until a lease is seen
    bool purge_left_to_holder_ = false;  // who dies before doing it leaves it to us
    bool damaged_ = false;               // something seen that no sound peer leaves
};

}  // namespace shmq::shm

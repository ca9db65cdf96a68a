// What only the supervisor does to a queue's shared memory: give out numbers, take back what the
// dead held, expire leases, purge, decide on messages that were left to it, count.
//
// One supervisor at a time, one thread. It treats every byte of the segment as hostile: indices are
// bounds-checked after one single read, no loop depends on a peer's word, and each pass over the
// ring looks at each slot a bounded number of times. All steps are CASes that a successor can take
// up anywhere: a supervisor killed between any two leaves nothing that reclaim does not find again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
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

// How a delivery failed, as far as known.
struct Cause {
    DeadReason reason = DeadReason::limit;
    std::uint32_t signal = 0;       // crashed: by this one
    std::uint32_t exit_status = 0;  // crashed: the process ended by itself, with this - 1
    std::uint16_t number = 0;       // who had it; 0: not known
};

// A message that is to go to the dead-letter queue: in the supervisor's hands until it is there.
struct Doomed {
    std::uint64_t index = 0;
    std::uint64_t sequence = 0;
    Cause cause;
    Nanoseconds failed_at = 0;
};

// A message of a log that has failed, and has not failed too often.
struct Failed {
    std::uint64_t lsn = 0;
    std::uint32_t deliveries = 0;
    std::uint32_t failures = 0;
};

// A message that another queue's move left here: by a supervisor that died before the end.
struct Unfinished {
    std::uint64_t index = 0;
    std::uint64_t sequence = 0;
    bool source_known = false;  // else: the mark is of another move
    std::uint8_t source_identity[16]{};
    std::uint64_t source_sequence = 0;
};

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
    Reclaimed hang_up(std::uint16_t number, Nanoseconds now = 0);
    // Its process is dead, or it detached and promised to touch nothing more: gives back all it
    // held, wakes all sleepers, and frees the number. The same twice does nothing.
    // Of what the dead held, the message in hand has failed, by `cause`: the one that it said
    // (ParticipantRecord::handling), else the oldest. The others were not begun.
    Reclaimed reclaim(std::uint16_t number, Ending ending, Nanoseconds now = 0,
                      const Cause& cause = {DeadReason::crashed});
    // Gives back its leases, which are no failures; it goes on.
    std::uint64_t release(std::uint16_t number);

    // ---- Time and decisions ----
    // Whether the process behind a participant is stopped, so that its leases last.
    using Stopped = std::function<bool(std::uint16_t number)>;
    // Returns messages whose lease ran out or whose delay is over, and decides on those that await
    // the supervisor (rejected, nacked with a delay, or left behind by a dead supervisor). Call it
    // every sweep_interval, at next_due, and when the doorbell rang. Returns messages it acted on.
    std::uint64_t sweep(Nanoseconds now, const Stopped& stopped = {});
    // When the next known lease or delay is over, as of the last sweep; no_deadline: none is known.
    Nanoseconds next_due() const { return next_due_; }
    // Whether the last sweep saw messages in consumers' hands.
    bool saw_leases() const { return saw_leases_; }
    // Whether a client has asked for a sweep since the last; clears it.
    bool take_work_flag();
    // How often to look for new leases: a lease counts from when it is first seen.
    Nanoseconds sweep_interval() const;
    // Until the lease on that slot ends; nothing: not seen yet.
    std::optional<Nanoseconds> lease_left(std::uint64_t index, Nanoseconds now) const;
    // Until a delayed message is due; nothing: it is not delayed.
    std::optional<Nanoseconds> due_in(std::uint64_t index, Nanoseconds now) const;

    // What has failed since the last call, in a queue whose log outlives its memory and that gives
    // messages up: for the log.
    std::vector<Failed> take_failed() { return std::exchange(failed_, {}); }

    // ---- Moves (move.hpp) ----
    const std::map<std::uint64_t, Doomed>& doomed() const { return doomed_; }  // by index
    // What a predecessor left half-way. Each must be settled before its source decides on anything.
    std::vector<Unfinished> unfinished();
    // Undoes that move if the source still has the message, else finishes it.
    void settle(const Unfinished& move, bool source_has_it);
    // That one was moved, or is not here any more.
    void forget_doomed(std::uint64_t index) { doomed_.erase(index); }
    // A message in our hands is on its way through another queue's log: until end_motion nobody
    // decides on it, nor touches it by hand.
    void begin_motion(std::uint64_t sequence) {
        in_motion_[view_.ring.index_of(sequence)] = sequence;
    }
    void end_motion(std::uint64_t sequence) { in_motion_.erase(view_.ring.index_of(sequence)); }
    bool in_motion(std::uint64_t sequence) const;
    // Whether that one is in our hands and may not be touched now: in motion, or in doubt.
    bool bound(std::uint64_t sequence) const;
    // Frees a message in our hands that is elsewhere now. False: it is not here, or not ours.
    bool leave(std::uint64_t sequence, CountJournal::Drop count_as);
    // The LSN of a message in its queue's log; 0: it is in none.
    std::uint64_t lsn_of(std::uint64_t sequence) const;
    // While that says so, what was rejected, failed or taken by hand is left as it is, by sweeps
    // and by hand: a predecessor may have moved it, and nobody knows yet.
    void leave_in_doubt_while(std::function<bool()> unknown) {
        moves_unknown_ = std::move(unknown);
    }
    // When that message failed first; 0: not known.
    Nanoseconds first_failure_of(std::uint64_t sequence) const;
    // Whether the message of that sequence is here.
    bool has(std::uint64_t sequence) const;

    // ---- Management ----
    // Drops every message that nobody holds. With an exclusive consumer attached only those not
    // ready; the rest is left to it (purge_position). Returns how many were dropped now.
    std::uint64_t purge();
    // Ends the queue for all users: they get `status` from every call, sleepers included.
    void close(QueueStatus status);
    // Which sides may go on; the others wait until they may. Nothing after close().
    void pause(bool producers, bool consumers);
    // By hand, one message each; what is wrong, or nothing: done.
    std::string ack_by_hand(std::uint64_t sequence);
    std::string nack_by_hand(std::uint64_t sequence, Nanoseconds due, Nanoseconds now);
    std::string extend_by_hand(std::uint64_t sequence, Nanoseconds deadline, Nanoseconds now);
    // Drops a message that nobody holds. `unread_is_ours`: no exclusive consumer is attached.
    std::string discard(std::uint64_t sequence, bool unread_is_ours);

    // Whether something was seen that no sound peer leaves behind: quarantine the queue.
    bool damaged() const { return damaged_; }
    Segment& segment() { return segment_; }
    // The pool may have been made since this was constructed.
    void refresh();

  private:
    friend class Move;
    struct Seen {  // when this supervisor first saw a lease, for those that name no deadline
        std::uint64_t sequence = 0;
        std::uint32_t lease = 0;  // the word below its lap
        Nanoseconds since = 0;
        bool paused = false;  // its holder was seen stopped: a deadline of before says nothing
    };
    // Blocks that the reclaim of one participant may have to free.
    struct Suspect {
        BlockHandle handle;
        BlockWord word;
        bool referred = false;
    };
    // Live processes may change a word under us, each once a lap at most: after so many rounds it
    // is not ours to wait for.
    static constexpr int rounds_most = 64;

    static void add(Atomic<std::uint64_t>& counter, std::uint64_t by) {
        counter.store(counter.load(memory_order_relaxed) + by, memory_order_relaxed);
    }

    // Participants: supervise.cpp.
    bool is_exclusive_reader(const ParticipantRecord& record) const;
    bool exclusive_reader_attached() const;
    // What a participant holds: the message that it was busy with, as far as anybody can tell (the
    // one that it said, if it still has it, else the oldest), and the oldest.
    struct Hand {
        std::uint64_t busy_with;
        std::uint64_t oldest;
    };
    Hand in_hand(const ParticipantRecord& record, std::uint16_t number, bool only_as_said);
    Hand begin_taking_back(ParticipantRecord& record, std::uint16_t number, ParticipantState next,
                           bool failed);
    bool holds(const ParticipantRecord& record, std::uint16_t number, std::uint64_t index,
               SlotWord word) const;
    bool was_read(std::uint64_t index, SlotWord word, std::uint64_t read_position) const;
    void reclaim_slots(std::uint16_t number, bool leases_only, const Hand& hand, const Cause* cause,
                       Reclaimed& reclaimed);
    void reclaim_slot(std::uint64_t index, SlotWord word, const Cause* cause, Reclaimed& reclaimed);
    std::uint64_t reclaim_ingress(std::uint16_t number);
    void finish_drop(ParticipantRecord& record, std::uint16_t number);
    std::uint64_t reclaim_blocks(std::uint16_t number);
    void mark_referred(std::vector<Suspect>& suspects);
    void mark_referred(std::vector<Suspect>& suspects, const SlotRing& ring);
    void wake_everybody();

    // Slots in our hands: supervise_slots.cpp.
    bool take_back(std::uint64_t index, SlotWord word, const Cause* cause);
    void after_failure(std::uint64_t index, SlotWord ours, std::uint64_t sequence,
                       const Cause& cause);
    bool return_slot(std::uint64_t index, SlotWord ours, std::uint64_t sequence);
    bool free_slot(std::uint64_t index, SlotWord word);
    void doom(std::uint64_t index, SlotWord ours, std::uint64_t sequence, const Cause& cause);
    void delay(std::uint64_t index, SlotWord ours, std::uint64_t sequence, std::uint32_t due_grain);
    bool drop(std::uint64_t index, SlotWord word, std::uint64_t sequence, CountJournal::Drop why);
    void count_surrendered(std::uint64_t index, SlotWord word, std::uint64_t sequence);
    void count_lease(std::uint64_t sequence, std::uint8_t tag, bool failed);
    // The tag of the lease that a slot was taken back from.
    static std::uint8_t holders_tag(SlotWord ours) {
        return static_cast<std::uint8_t>(ours.tag() - 1);
    }
    static std::uint32_t grain_of(Nanoseconds time) {
        return grain_at(static_cast<std::uint64_t>(time));
    }
    Nanoseconds retry_delay(std::uint64_t sequence) const;
    Note note_of(std::uint64_t index, SlotWord word, std::uint64_t sequence) const;
    bool in_doubt(NoteKind kind) const;
    const char* why_bound(std::uint64_t index, SlotWord word, std::uint64_t sequence) const;
    std::uint64_t sequence_at(std::uint64_t index, SlotWord word, bool& sound) const;
    std::optional<SlotWord> find(std::uint64_t sequence) const;
    std::optional<SlotWord> take_held(std::uint64_t sequence, std::string& why_not);
    std::optional<SlotWord> take_waiting(std::uint64_t sequence, bool unread_is_ours,
                                         std::string& why_not);

    // Time: supervise_sweep.cpp.
    bool sweep_slot(std::uint64_t index, SlotWord word, const Stopped& stopped);
    bool free_claim(std::uint64_t index, SlotWord word);
    bool repair_cell(std::uint64_t index, SlotWord word);
    bool decide(std::uint64_t index, SlotWord word);
    bool held_by_producer(SlotWord word);
    bool expired(std::uint64_t index, SlotWord word, const Stopped& stopped);
    void due_at(Nanoseconds time) {
        if (next_due_ == no_deadline || time < next_due_) next_due_ = time;
    }

    bool drop_for_purge(std::uint64_t index, SlotWord word);
    bool after_purge(std::uint64_t index, SlotWord word) const;

    Segment& segment_;
    QueueView view_;
    Nanoseconds now_ = 0;  // of the verb under way
    Nanoseconds next_due_ = no_deadline;
    bool saw_leases_ = false;
    std::vector<Seen> seen_;                  // by slot; empty until a lease is seen
    std::map<std::uint64_t, Doomed> doomed_;  // by index
    bool purge_left_to_holder_ = false;       // who dies before doing it leaves it to us
    bool swept_ = false;                      // before that a predecessor's claims may be here
    bool damaged_ = false;                    // something seen that no sound peer leaves
    bool closed_ = false;
    std::function<bool()> moves_unknown_;
    std::vector<Failed> failed_;
    std::map<std::uint64_t, std::uint64_t> in_motion_;  // index to sequence
};

}  // namespace shmq::shm

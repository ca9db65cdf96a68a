// Who holds what, and what becomes of it. One Holder a session that said Hello: its process, by
// pidfd, and the participants it was given. Nothing else in shmq cleans up after anybody.
//
//   process ends             everything its participants held is given back, at once
//   session hangs up         their leases are given back; the rest waits for the process's end
//   queue removed            its participants are forgotten; there is nothing left to give back
//   this daemon ends         a successor finds holders and participants again: pidfds are kept
//                            (keeper/store.hpp), numbers are in the roster; sessions come back
//                            under their key and bring their participants (supervisor_resume.cpp)
//
// What happens to a queue's memory is shm::Supervise's; when, is decided here.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "daemon/dead_letters.hpp"
#include "daemon/io/io.hpp"
#include "daemon/keeper/store.hpp"
#include "daemon/queue.hpp"
#include "daemon/rights.hpp"
#include "daemon/roster.hpp"
#include "daemon/timers.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

// A number given out. Observers have none: they hold nothing that could be given back.
struct Participant {
    std::shared_ptr<Queue> queue;
    std::uint16_t number = 0;
    wire::Role role = wire::Role::producer;
    std::uint32_t generation = 0;
    std::uint32_t place = 0;  // in the roster
    Nanoseconds attached_at = 0;
    bool brought_back = true;  // false: its session resumed and has not named it yet
};

class Holder {
  public:
    const Caller& caller() const { return caller_; }
    bool dead() const { return dead_; }
    // What the session is known by to a successor of this daemon, and to nobody else.
    const std::string& key() const { return key_; }

  private:
    friend class Supervisor;
    Caller caller_;
    std::string executable_;
    std::string key_;
    std::uint64_t kept_id_ = 0;  // number that the pidfd is kept under; 0: it is not
    Fd pidfd_;     // invalid: the kernel would not give one; such a holder may attach nothing
    Fd doorbell_;  // eventfd
    Source death_;
    Source ring_;
    Timer grace_;
    std::vector<Participant> participants_;
    shm::Reclaimed given_back_;                 // since it hung up or died
    std::set<std::shared_ptr<Queue>> touched_;  // queues where that was, once it is dead
    bool connected_ = true;
    bool dead_ = false;
    shm::Cause cause_{shm::DeadReason::crashed};  // once it is dead
    std::list<std::unique_ptr<Holder>>::iterator place_;
};

class Supervisor {
  public:
    Supervisor(Io& io, Timers& timers, Store& store, Roster& roster, DeadLetters& dead_letters)
        : io_(io), timers_(timers), store_(store), roster_(roster), dead_letters_(dead_letters) {}
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    // A session has said who it is. `doorbell`: what the peer rings. Lives until hang_up, and
    // longer where its participants do. `key`: of the session that it goes on from, or empty;
    // `resumed`: that one is known, and its participants wait to be brought back.
    wire::Outcome<Holder*> admit(const Caller& caller, Fd pidfd, const std::string& key,
                                 Fd& doorbell, bool& resumed);
    // The session is over; the holder is the supervisor's alone from here.
    void hang_up(Holder& holder);

    // The session still has that participant. False: it is not, or no more, its.
    bool reattach(Holder& holder, const std::shared_ptr<Queue>& queue, std::uint32_t number,
                  std::uint32_t generation);
    // It has brought back all it has: whatever else was its is detached. How many were.
    std::size_t finish_resume(Holder& holder);

    // ---- A predecessor's ----
    // One session of it, by what was kept; `pidfd` may be invalid.
    Holder& adopt_holder(const RosterEntry& entry, Fd pidfd);
    void adopt_participant(Holder& holder, const std::shared_ptr<Queue>& queue,
                           const RosterEntry& entry, std::uint32_t place);
    // Nobody knows whose these are: their processes are looked up by pid and time of start.
    void adopt_strays(const std::shared_ptr<Queue>& queue);
    struct Census {
        std::size_t kept = 0;
        std::size_t dead = 0;
        shm::Reclaimed reclaimed;
    };
    // Once all are adopted: gives back at once what the dead held and what was nobody's, and
    // finishes what the predecessor left half done.
    Census settle(const std::shared_ptr<Queue>& queue);

    struct Attached {
        std::uint16_t number = 0;
        std::uint32_t generation = 0;
        bool exclusive = false;
        std::uint32_t in_flight = 0;
        Fd ring;
        Fd pool;  // invalid: no pool, or, for an observer, none yet
    };
    // REQUIRES: the caller's rights were checked; who is no observer finds the pool made. in_flight
    // 0: the queue's.
    wire::Outcome<Attached> attach(Holder& holder, const std::shared_ptr<Queue>& queue,
                                   wire::Role role, std::uint32_t in_flight);
    wire::Outcome<void> detach(Holder& holder, const std::shared_ptr<Queue>& queue,
                               std::uint32_t number);
    // The queue is being removed: forgets its participants.
    void forget(const Queue& queue);
    // At the daemon's end: forgets everybody, and touches nobody's memory.
    void release_all();

    // What is held or waits in the queue, by sequence, from the first after `after` on.
    std::vector<wire::Pending> pending(Queue& queue, std::optional<std::uint64_t> after,
                                       std::size_t most);
    // Gives back what that process holds in the queues that `wanted` lets through.
    std::uint64_t release(pid_t pid, const std::function<bool(const Queue&)>& wanted);
    // Looks at the queue now: something is due, or somebody left or changed something.
    void attend(Queue& queue);

    std::uint64_t deaths() const { return deaths_; }  // with participants
    std::uint64_t messages_reclaimed() const { return reclaimed_; }

  private:
    Holder& add_holder(const Caller& caller, Fd pidfd);
    Holder* find_holder(const std::string& key);
    void watch_death(Holder& holder);
    bool is_known_as(const Holder& holder, const Caller& caller) const;
    // Writes down whose it is, for a successor.
    void enter(Holder& holder, Participant& participant);
    void strike(Holder& holder, const Participant& participant);
    void let_go_of_process(Holder& holder);

    Holder* holder_of_number(const Queue& queue, std::uint16_t number);
    LastHolder last_holder(const Queue& queue, std::uint16_t number);
    static LastHolder describe(const Holder& holder);
    static void learn_cause(Holder& holder);
    Progress on_death(Holder& holder);
    Progress on_dead(Holder& holder);
    Progress on_doorbell(Holder& holder);
    void wait_for_death(Holder& holder, int rounds_left);
    void on_grace_over(Holder& holder);
    // False: the time for one go is used up, and some are left.
    bool give_back_some(Holder& holder);
    void report_death(const Holder& holder);
    static void tell_of_death(const Holder& holder);
    shm::Reclaimed give_back(const Participant& participant, shm::Ending ending,
                             const Holder& holder);
    void erase(Holder& holder);

    wire::Outcome<void> check_exclusive(const Queue& queue, wire::Role role);
    Holder* holder_of(const Queue& queue, wire::Role role);
    wire::Outcome<Attached> descriptors_for(Queue& queue, wire::Role role);
    wire::Outcome<void> give_number(Holder& holder, const std::shared_ptr<Queue>& queue,
                                    wire::Role role, Attached& attached);

    void share_in_flight(Queue& queue);
    void arm_sweep(Queue& queue);
    void sweep(Queue& queue);
    void bury(Queue& queue);

    Io& io_;
    Timers& timers_;
    Store& store_;
    Roster& roster_;
    DeadLetters& dead_letters_;
    std::uint64_t next_kept_id_ = 1;
    std::list<std::unique_ptr<Holder>> holders_;
    std::uint64_t deaths_ = 0;
    std::uint64_t reclaimed_ = 0;
};

}  // namespace shmq::daemon

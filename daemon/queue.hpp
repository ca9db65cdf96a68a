// One queue as the daemon knows it: its segment, its supervisor's verbs, who owns it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "daemon/definition.hpp"
#include "daemon/rights.hpp"
#include "daemon/timers.hpp"
#include "shm/segment.hpp"
#include "shm/supervise.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

class QueueJournal;

// Who had a message last; zeros where nobody knows.
struct LastHolder {
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::string executable;
};

// What participants count of their waiting.
struct Sleeps {
    std::uint64_t sleeps = 0;
    std::uint64_t wakes = 0;
    std::uint64_t full = 0;  // sends that found no room at first
    Sleeps& operator+=(const Sleeps& other);
};

class Queue : public std::enable_shared_from_this<Queue> {
  public:
    struct Settings {
        std::string name;
        std::string identity;  // 32 hexadecimal digits; peers could change the segment's copy
        wire::Ownership ownership{};
        std::uint32_t in_flight = 0;    // unacked messages that a consumer may hold
        std::uint64_t spill_limit = 0;  // bytes of its journal's files; 0: as the disk allows
        wire::Durability durability = wire::Durability::accepted;
    };

    Queue(Settings settings, std::unique_ptr<shm::Segment> segment);
    ~Queue();
    // What a queue is made of, from options where 0 means the default, or as in force.
    static Settings settings(std::string name, std::string identity,
                             const wire::Ownership& ownership, const wire::Options& options);

    const std::string& name() const { return settings_.name; }
    const std::string& identity() const { return settings_.identity; }
    const wire::Ownership& ownership() const { return settings_.ownership; }
    std::uint32_t in_flight() const { return settings_.in_flight; }
    std::uint64_t spill_limit() const { return settings_.spill_limit; }
    wire::Durability durability() const { return settings_.durability; }
    std::uint64_t memory_bytes() const;
    // As in force: no zeros, nothing unsaid.
    wire::Options options() const;
    // From now on these hold. REQUIRES: complete, allowed, and different in nothing that is fixed.
    void change(const wire::Options& options, const wire::Ownership& ownership);
    void pause(Paused paused);
    Paused paused() const { return paused_; }
    // With counts and totals as of now: walks the ring.
    wire::Queue describe() const;
    // Ready, leased and returned ones: walks the ring. What a log that is being recovered holds is
    // not among them.
    std::uint64_t message_count() const;

    shm::Segment& segment() { return *segment_; }
    const shm::Segment& segment() const { return *segment_; }
    shm::Supervise& supervise() { return supervise_; }
    const shm::Supervise& supervise() const { return supervise_; }

    // Takes the queue out of service, for ever, if its memory was found to contradict itself. Users
    // and sleepers are told. To be called after each verb of supervise(); `during` names it.
    void check_damage(std::string_view during);
    bool quarantined() const { return !quarantine_reason_.empty(); }
    const std::string& quarantine_reason() const { return quarantine_reason_; }

    // Of those who are attached, and of those who left since this daemon began.
    Sleeps sleeps() const;
    // To be called before that participant's number is given back.
    void keep_sleeps_of(std::uint16_t number);
    // Tells who watches when a backlog on disk begins and ends.
    void notice_spill();

    // The supervisor's books, which no peer can write.
    std::uint32_t producers = 0;  // numbers given out and not yet free
    std::uint32_t consumers = 0;
    // Of messages that wait for room in the dead-letter queue, by sequence.
    std::map<std::uint64_t, LastHolder> last_holders;
    bool moves_settled = false;  // those that a predecessor left half-way
    // What somebody has to look after; "": nothing. Said in the log when it changes.
    enum class Alarm { held, journal };
    void raise_alarm(Alarm what, const std::string& text);
    bool removed = false;  // by the registry: nobody finds it any more
    // What outlives this daemon: the number that its memory is kept under, and the place in the
    // catalogue where it says what the queue is. Both are the registry's.
    std::uint64_t memory_number = 0;
    std::uint32_t catalogue_place = 0;
    bool pool_is_kept = false;  // and named there
    // Until the next look for leases that ran out.
    Nanoseconds sweep_interval() const;
    Timer sweep_timer;
    Nanoseconds sweep_due = no_deadline;  // of the timer, while it is armed
    Nanoseconds sweep_not_before = 0;
    // What its journal holds is not known yet, and how far that is, for people.
    bool recovering() const;
    std::string recovery_progress() const;
    // Null where there is none, or where it could not be opened; uses the segment.
    std::unique_ptr<QueueJournal> journal;

  private:
    void describe_journal(wire::Queue& queue) const;

    Settings settings_;
    std::unique_ptr<shm::Segment> segment_;
    shm::Supervise supervise_;
    std::string quarantine_reason_;
    std::array<std::string, 2> alarms_;
    Paused paused_;
    Sleeps sleeps_left_;
    bool spilling_ = false;
    Sleeps sleeps_of(std::uint16_t number) const;
};

}  // namespace shmq::daemon

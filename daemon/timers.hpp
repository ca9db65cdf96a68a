// Deadlines: says what is due and when to wake next; what then happens is the timer's owner's.
#pragma once

#include <cstddef>
#include <functional>
#include <map>

#include "base/clock.hpp"

namespace shmq::daemon {

class Timers;

// Belongs to its caller, and is disarmed by its destruction. Not movable.
class Timer {
  public:
    Timer() = default;
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    bool armed() const { return timers_ != nullptr; }

  private:
    friend class Timers;
    Timers* timers_ = nullptr;
    std::multimap<Nanoseconds, Timer*>::iterator place_;
    std::function<void()> action_;
};

class Timers {
  public:
    Timers() = default;
    ~Timers();
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    // Runs `action` once, when `due` has come. An armed timer is armed anew.
    void arm(Timer& timer, Nanoseconds due, std::function<void()> action);
    void disarm(Timer& timer);

    // When the next one is due; no_deadline: none is.
    Nanoseconds next() const;
    // Runs what is due. Actions may arm and disarm; what they arm runs in a later call.
    void run_due(Nanoseconds now);

    std::size_t armed_count() const { return by_due_.size(); }

  private:
    std::multimap<Nanoseconds, Timer*> by_due_;
};

}  // namespace shmq::daemon

// SIGINT and SIGTERM as a wish to end in order, and a clock that renews leases while a write
// blocks.
#pragma once

#include <chrono>

#include <shmq/consumer.hpp>
#include <shmq/producer.hpp>

namespace shmq::cli {

// Signals wait from here on until a StopSignals is there: to be called before a handle is made,
// lest one that comes in between kill the program with the handle open.
void hold_signals();

// From the first signal on stopped() is true, fd() is readable, and the watched handle's waits end.
// The second signal kills. A signal that was ignored when we started (nohup, background jobs of
// scripts) stays ignored. At most one object of the kind exists at a time.
class StopSignals {
  public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    // The handle must outlive this object.
    void watch(Producer& producer);
    void watch(Consumer& consumer);

    bool stopped() const;
    int fd() const;
    // Sleeps for that long or until a signal came; true if it slept to the end.
    bool sleep(std::chrono::milliseconds duration) const;
};

// Interrupts blocking system calls (SIGALRM) every third of the lease. due() says once that a third
// has passed. At most one exists at a time.
class LeaseClock {
  public:
    explicit LeaseClock(std::chrono::nanoseconds lease);
    ~LeaseClock();
    LeaseClock(const LeaseClock&) = delete;
    LeaseClock& operator=(const LeaseClock&) = delete;

    bool due();
};

}  // namespace shmq::cli

// Waiting for a queue: try, spin briefly, then sleep on its futex; the one loop for producers and
// consumers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/clock.hpp"
#include "shm/wait.hpp"

namespace shmq {

enum class Waited { done, timed_out, interrupted };

// How one handle waits, and what it learned about it.
class Waiting {
  public:
    // `plain_wakers`: those who wake us publish by plain stores. `look_again`: how long a sleep may
    // last at most, should somebody die between making room for us and waking us.
    Waiting(shm::WaitPoint& point, bool plain_wakers, Nanoseconds look_again) noexcept;

    // Calls `attempt(thorough)` until it returns true, the deadline comes, or stop() was called.
    // `thorough` is set when a sleep has lasted so long that hints are no longer believed.
    template <typename Attempt>
    Waited until(Nanoseconds deadline, Attempt attempt);

    // To be called when an attempt succeeded without `until`.
    void went_through() noexcept { ++streak_; }

    // Any thread, any signal handler.
    void stop() noexcept {
        stop_.store(true);
        shm::poke(*point_);
    }
    // Whether the last call slept; its wake-up may have been meant for two.
    bool slept() const noexcept { return sleeps_last_ != 0; }
    std::uint64_t sleeps() const noexcept { return sleeps_; }

  private:
    template <typename Attempt>
    bool spin(Attempt& attempt);
    void let_them_run_ahead() noexcept;
    Nanoseconds sleep_end(Nanoseconds now, Nanoseconds deadline) const noexcept;
    Waited interrupted() noexcept;

    shm::WaitPoint* point_;
    bool plain_wakers_;
    Nanoseconds look_again_;
    unsigned spins_;
    unsigned streak_ = 0;  // attempts that went through since we last had to wait
    unsigned waits_ = 0;   // since we last stood back
    unsigned waits_before_try_;
    bool tried_ = false;  // the last time we stood back, it was to see what comes of it
    std::uint64_t sleeps_ = 0;
    std::uint64_t sleeps_last_ = 0;
    std::atomic<bool> stop_{false};
};

// Rounds of one spin: it grows while spinning pays and shrinks while it does not. About 4 to 60 us;
// a sleep and its wake-up cost about 10.
constexpr unsigned spins_least = 64;
constexpr unsigned spins_most = 1024;

// In a stream the faster side meets the slower one at every slot, and each message then costs the
// passage of a cache line there and back. Standing back for about 1.5 us lets the other fill or
// free a run of slots undisturbed. In a dialogue it would only add to the latency. So: stand back
// after a long streak; and after many waits in a row, once, to see whether a long streak comes of
// it. If not, it is a dialogue, and twice as many waits pass before the next try.
constexpr unsigned streak_long = 16;
constexpr unsigned run_ahead_breaths = 32;
constexpr unsigned waits_before_try_least = 64;
constexpr unsigned waits_before_try_most = 1u << 16;

template <typename Attempt>
bool Waiting::spin(Attempt& attempt) {
    for (unsigned round = 0; round < spins_; ++round) {
        if (attempt(false)) {
            spins_ = std::min(spins_ * 2, spins_most);
            return true;
        }
        shm::cpu_relax();
    }
    if (spins_ != 0) spins_ = std::max(spins_ / 2, spins_least);
    return false;
}

template <typename Attempt>
Waited Waiting::until(Nanoseconds deadline, Attempt attempt) {
    sleeps_last_ = 0;
    let_them_run_ahead();
    if (attempt(false) || spin(attempt)) return Waited::done;
    bool thorough = false;
    for (;;) {
        const shm::WaitTicket ticket = shm::register_waiter(*point_, plain_wakers_);
        // The look that counts: whatever happens after it will wake us.
        const bool done = attempt(thorough);
        const bool stopped = !done && stop_.load();
        const Nanoseconds now = done || stopped ? 0 : monotonic_now();
        if (done || stopped || now >= deadline) {
            shm::leave_waiters(*point_, ticket);
            if (done) return Waited::done;
            return stopped ? interrupted() : Waited::timed_out;
        }
        ++sleeps_;
        ++sleeps_last_;
        const auto end = shm::wait(*point_, ticket, sleep_end(now, deadline));
        shm::leave_waiters(*point_, ticket);
        thorough = end == shm::WaitEnd::timed_out;
    }
}

}  // namespace shmq

// Waiting for a queue: try, spin briefly, then sleep on its futex; the one loop for producers and
// consumers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/clock.hpp"
#include "client/spin_budget.hpp"
#include "shm/wait.hpp"

namespace shmq {

enum class Waited { done, timed_out, interrupted };

// How long one sleep may last, where those who wake publish by plain stores or do not.
Nanoseconds sleep_most(const shm::WaitPoint& point, bool plain_wakers,
                       Nanoseconds look_again) noexcept;
// Rounds of the first spin: none on one processor, where whoever spins keeps the other from
// running.
unsigned first_spins() noexcept;

// How one handle waits, and what it learned about it.
class Waiting {
  public:
    // `plain_wakers`: those who wake us publish by plain stores. `look_again`: how long a sleep may
    // last at most, should somebody die between making room for us and waking us. `for_room`: what
    // is waited for is room, not messages.
    Waiting(shm::WaitPoint& point, bool for_room, bool plain_wakers,
            Nanoseconds look_again) noexcept;

    // For who may be in a dialogue: calls `attempt()`, which must be quick, for about 2 us, so that
    // the answer finds its way with nothing between. False: it has not come, or this is a stream,
    // or `possible()` says that the attempt will not do.
    template <typename Attempt, typename Possible>
    bool at_once(std::uint64_t done_so_far, Attempt attempt, Possible possible);

    // Calls `attempt(thorough)` until it returns true, the deadline comes, or stop() was called.
    // `thorough` is set when a sleep has lasted so long that hints are no longer believed.
    // `there(n)` tells whether what the nth attempt from now needs is there (a guess; 0: the next).
    // `done_so_far`: attempts that went through, ever.
    template <typename Attempt, typename There>
    Waited until(Nanoseconds deadline, std::uint64_t done_so_far, Attempt attempt, There there);

    // Any thread, any signal handler.
    void stop() noexcept {
        stop_.store(true);
        shm::wake_all(*point_);
    }
    // Whether the last call slept; its wake-up may have been meant for two.
    bool slept() const noexcept { return sleeps_last_ != 0; }
    std::uint64_t sleeps() const noexcept { return sleeps_; }

  private:
    template <typename Attempt, typename There>
    bool spin(Attempt& attempt, There& there);
    bool stands_back(std::uint64_t done_so_far) noexcept;
    template <typename There>
    void let_run_ahead(There there) const noexcept;
    Waited interrupted() noexcept;

    shm::WaitPoint* point_;
    bool for_room_;
    bool plain_wakers_;
    Nanoseconds look_again_;
    SpinBudget spins_;
    std::uint64_t done_before_ = 0;  // when we last had to wait
    unsigned waits_ = 0;             // since we last stood back
    unsigned waits_before_try_;
    bool tried_ = false;  // the last time we stood back, it was to see what comes of it
    std::uint64_t sleeps_ = 0;
    std::uint64_t sleeps_last_ = 0;
    std::atomic<bool> stop_{false};
};

// A round of a spin looks so often at the one word that nearly always ends the wait, without a
// pause between at first (a pause may last as long as a message's way), and then at everything else
// that could.
constexpr unsigned looks_a_round = 64;
constexpr unsigned rounds_without_pause = 32;
constexpr unsigned looks_in_dialogue = 24;

// Between two looks at a slot: about 80 ns. Who looks without a pause takes the slot's line away
// from a producer that has claimed the slot, or written half of it, and both then wait for it to
// come back. No cpu_relax: that is 5 ns on one processor and 50 on the next.
inline void look_away() {
    for (unsigned turn = 0; turn < 200; ++turn)
        asm volatile("");
}

// In a stream the faster side meets the slower one at every slot, and each message then costs the
// passage of a cache line there and back. Standing back lets the other fill or free a run of slots
// undisturbed. It ends when a run is there that is worth it, or as soon as a piece of it has not
// come within about 3 us (12 us for room): nobody stands back from a stream that has ended.
//
// Who finds the ring full loses nothing by that. Who finds it empty may be in a dialogue, where it
// would only add to the latency. So consumers stand back after a long streak; and after many waits
// in a row, once, to see whether a long streak comes of it. If not, it is a dialogue, and twice as
// many waits pass before the next try.
constexpr unsigned streak_long = 16;
constexpr unsigned run_ahead_most = 512;
constexpr unsigned run_ahead_piece = 64;
constexpr unsigned run_ahead_breaths = 64;  // for a piece; for room: four times as many
constexpr unsigned waits_before_try_least = 64;
constexpr unsigned waits_before_try_most = 1u << 16;

template <typename Attempt, typename Possible>
bool Waiting::at_once(std::uint64_t done_so_far, Attempt attempt, Possible possible) {
    const bool dialogue = spins_.may_spin() && done_so_far - done_before_ < streak_long &&
                          waits_ + 1 < waits_before_try_;
    if (!dialogue) return false;
    for (unsigned look = 0; look < looks_in_dialogue && possible(); ++look) {
        if (attempt()) {
            done_before_ = done_so_far;
            ++waits_;
            return true;
        }
        look_away();
    }
    return false;
}

template <typename Attempt, typename There>
bool Waiting::spin(Attempt& attempt, There& there) {
    const unsigned rounds = spins_.rounds();
    for (unsigned round = 0; round < rounds; ++round) {
        for (unsigned look = 0; look < looks_a_round && !there(0); ++look) {
        }
        if (attempt(false)) {
            spins_.paid();
            return true;
        }
        if (round >= rounds_without_pause) shm::cpu_relax();
    }
    spins_.was_in_vain();
    return false;
}

template <typename There>
void Waiting::let_run_ahead(There there) const noexcept {
    const unsigned most = for_room_ ? 4 * run_ahead_breaths : run_ahead_breaths;
    for (unsigned run = run_ahead_piece; run <= run_ahead_most; run += run_ahead_piece) {
        for (unsigned breath = 0; !there(run); ++breath) {
            if (breath == most) return;
            shm::cpu_relax();
        }
    }
}

template <typename Attempt, typename There>
Waited Waiting::until(Nanoseconds deadline, std::uint64_t done_so_far, Attempt attempt,
                      There there) {
    sleeps_last_ = 0;
    if (stands_back(done_so_far)) let_run_ahead(there);
    if (attempt(false) || spin(attempt, there)) return Waited::done;
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
        const auto end = shm::wait(
            *point_, ticket,
            std::min(deadline,
                     deadline_after(now, sleep_most(*point_, plain_wakers_, look_again_))));
        shm::leave_waiters(*point_, ticket);
        thorough = end == shm::WaitEnd::timed_out;
        // Who was woken nearly always finds what it was woken for: it need not register, and call
        // the kernel for a barrier, to see that.
        if (!thorough && attempt(false)) return Waited::done;
    }
}

}  // namespace shmq

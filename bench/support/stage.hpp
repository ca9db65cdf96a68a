// The stage that a measurement is played on: every role a process of its own, on a processor of its
// own, all started at one instant, and a watchdog.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "support/histogram.hpp"

namespace shmq::bench {

constexpr unsigned roles_most = 16;

// What the roles tell their parent; in memory that all of them share.
struct Stage {
    // Of one role, between its warm-up and its end.
    struct alignas(128) Account {
        std::uint64_t messages = 0;
        Nanoseconds begun = 0;  // 0: nothing came
        Nanoseconds ended = 0;
        double cpu_seconds = 0;
    };

    std::atomic<unsigned> ready{0};
    std::atomic<unsigned> left{0};
    std::atomic<unsigned> ended_producers{0};
    std::atomic<Nanoseconds> begun{0};
    unsigned roles = 0;
    double nanoseconds_per_tick = 1;
    Account accounts[roles_most];
    Histogram times;       // ticks
    Histogram more_times;  // ticks

    // Waits until every role has come here. Returns when that was.
    Nanoseconds start();
    // The same at the end: what a role has sent may still be under way inside it.
    void leave();
};

struct Role {
    unsigned processor;
    std::function<void(Stage&)> play;
};

struct Terms {
    // Each role on its processor alone (modulo those there are). Not for peers with threads of
    // their own, which want the processors' spare time.
    bool pinned = true;
    // Real-time priority, where it is allowed. Not for peers with servers, which would starve.
    bool real_time = true;
    double seconds_most = 60;
};

// Plays the roles, each forked. Ends the program with a message if one fails, or if all together
// take too long.
Stage& play(std::span<const Role> roles, const Terms& terms);

// Time that this process has been given by a processor so far.
double cpu_seconds();

// The cheapest clock there is; the same one on all processors. Stage::nanoseconds_per_tick.
inline std::uint64_t ticks() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return static_cast<std::uint64_t>(monotonic_now());
#endif
}

inline void breathe() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace shmq::bench

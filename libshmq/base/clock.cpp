#include "base/clock.hpp"

#include <ctime>

namespace shmq {
namespace {

Nanoseconds read_clock(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return time.tv_sec * nanoseconds_per_second + time.tv_nsec;
}

}  // namespace

Nanoseconds monotonic_now() {
    return read_clock(CLOCK_MONOTONIC);
}

Nanoseconds monotonic_coarse_now() {
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

Nanoseconds deadline_after(Nanoseconds now, Nanoseconds duration) {
    if (duration <= 0) return now;
    return duration >= no_deadline - now ? no_deadline : now + duration;
}

}  // namespace shmq

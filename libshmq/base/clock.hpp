// Monotonic time in nanoseconds (CLOCK_MONOTONIC: steps of the wall clock do not move it).
#pragma once

#include <cstdint>

namespace shmq {

using Nanoseconds = std::int64_t;

constexpr Nanoseconds nanoseconds_per_second = 1'000'000'000;
constexpr Nanoseconds nanoseconds_per_millisecond = 1'000'000;
// A deadline that never comes.
constexpr Nanoseconds no_deadline = INT64_MAX;

// Exact; about 25 ns a call.
Nanoseconds monotonic_now();
// As of the last timer tick (1 to 4 ms old); a few ns a call.
Nanoseconds monotonic_coarse_now();
// now + duration, no_deadline where that would overflow; a negative duration counts as 0.
Nanoseconds deadline_after(Nanoseconds now, Nanoseconds duration);

}  // namespace shmq

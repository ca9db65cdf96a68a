// The clock that outlives the machine's start: for times that are written to disk or told to
// people, and for nothing else. It can be set back.
#pragma once

#include "base/clock.hpp"

namespace shmq::journal {

// What the wall clock shows beyond monotonic_now().
Nanoseconds wall_clock_ahead();

}  // namespace shmq::journal

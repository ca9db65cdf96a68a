// Two that restart each other must not do so without end: one that lived well is started again at
// once, one that keeps dying after longer and longer.
#pragma once

#include <algorithm>

#include "base/clock.hpp"

namespace shmq::daemon {

class BackOff {
  public:
    explicit BackOff(Nanoseconds most) : most_(most) {}

    // How long to wait before the next start, after a life of that length (0: it could not start).
    Nanoseconds after(Nanoseconds lived) {
        delay_ = lived >= lived_well ? 0 : std::clamp(2 * delay_, least, most_);
        return delay_;
    }

  private:
    static constexpr Nanoseconds lived_well = 500 * nanoseconds_per_millisecond;
    static constexpr Nanoseconds least = 10 * nanoseconds_per_millisecond;

    Nanoseconds most_;
    Nanoseconds delay_ = 0;
};

}  // namespace shmq::daemon

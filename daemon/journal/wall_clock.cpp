#include "daemon/journal/wall_clock.hpp"

#include <ctime>

namespace shmq::journal {

Nanoseconds wall_clock_ahead() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * nanoseconds_per_second + now.tv_nsec - monotonic_now();
}

}  // namespace shmq::journal

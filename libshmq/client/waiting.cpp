#include "client/waiting.hpp"

#include <thread>

namespace shmq {
namespace {

// Where membarrier is refused, a publisher may not know yet that it has to fence.
constexpr Nanoseconds unfenced_sleep_most_ns = 10 * nanoseconds_per_millisecond;

}  // namespace

unsigned first_spins() noexcept {
    return std::thread::hardware_concurrency() > 1 ? spins_most / 4 : 0;
}

Nanoseconds sleep_most(const shm::WaitPoint& point, bool plain_wakers,
                       Nanoseconds look_again) noexcept {
    const bool unfenced = plain_wakers && point.fenced.load(shm::memory_order_relaxed) != 0;
    return unfenced ? std::min(look_again, unfenced_sleep_most_ns) : look_again;
}

Waiting::Waiting(shm::WaitPoint& point, bool for_room, bool plain_wakers,
                 Nanoseconds look_again) noexcept
    : point_(&point),
      for_room_(for_room),
      plain_wakers_(plain_wakers),
      look_again_(look_again),
      spins_(first_spins()),
      waits_before_try_(waits_before_try_least) {}

bool Waiting::stands_back(std::uint64_t done_so_far) noexcept {
    if (!spins_.may_spin()) return false;  // one processor: the other cannot run meanwhile
    if (for_room_) return true;
    const bool streamed = done_so_far - done_before_ >= streak_long;
    done_before_ = done_so_far;
    if (tried_) {
        waits_before_try_ = streamed ? waits_before_try_least
                                     : std::min(2 * waits_before_try_, waits_before_try_most);
    }
    tried_ = !streamed && ++waits_ >= waits_before_try_;
    if (!streamed && !tried_) return false;
    waits_ = 0;
    return true;
}

// The wake-up that ended our sleep may have been for a message: it goes on to another sleeper.
Waited Waiting::interrupted() noexcept {
    stop_.store(false);
    shm::wake(*point_, 1);
    return Waited::interrupted;
}

}  // namespace shmq

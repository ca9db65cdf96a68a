// The time stamps of messages that follow one another closely.
//
// Even the coarse clock costs more than all else that a send does. So while a process sends many
// messages within one tick of it, a thread of its own tells the time, each 4 ms (the grain of the
// coarse clock on most kernels), and senders read that. It ends its telling when nobody has asked
// for a while, and sleeps until somebody streams again: an idle process has no wake-ups from it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.hpp"

namespace shmq {

namespace detail {
// The time, or 0 while nobody tells it; and whether anybody asked since it was told last.
struct alignas(64) StreamTime {
    std::atomic<std::uint64_t> now{0};
    std::atomic<bool> asked{false};
};
extern StreamTime stream_time;
// From now on the time is told, for a while at least. Later calls do nothing.
void tell_stream_time() noexcept;
}  // namespace detail

// One sender's view of it: decides when a stream is one.
class StreamClock {
  public:
    // The coarse monotonic clock, as it is or as it was up to about 4 ms ago (longer where the
    // machine did not let that thread run); never less than the last answer to the same caller.
    std::uint64_t now() noexcept {
        const std::uint64_t told = now_at_once();
        return told != 0 ? told : read();
    }
    // The same while the time is told, 0 while it is not.
    std::uint64_t now_at_once() const noexcept {
        const std::uint64_t told = detail::stream_time.now.load(std::memory_order_relaxed);
        if (told == 0) [[unlikely]]
            return 0;
        detail::stream_time.asked.store(true, std::memory_order_relaxed);
        return told > last_ ? told : last_;
    }

  private:
    std::uint64_t read() noexcept;

    std::uint64_t last_ = 0;
    unsigned in_this_tick_ = 0;
};

}  // namespace shmq

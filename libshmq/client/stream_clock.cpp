#include "client/stream_clock.hpp"

#include <pthread.h>
#include <time.h>

#include <condition_variable>
#include <mutex>

#include "client/background.hpp"

namespace shmq {
namespace detail {

StreamTime stream_time;

namespace {

constexpr long tick_ns = 4'000'000;
// A stream that pauses for less than this finds the clock still ticking.
constexpr unsigned unasked_ticks_most = 25;

// Never destroyed: the thread may outlive the program's statics.
struct Teller {
    std::mutex mutex;
    std::condition_variable wanted;
    bool telling = false;
    bool running = false;
};

Teller& teller() {
    static auto* instance = new Teller;
    return *instance;
}

void tell_until_nobody_asks() {
    for (unsigned unasked = 0; unasked < unasked_ticks_most; ++unasked) {
        if (stream_time.asked.exchange(false, std::memory_order_relaxed)) unasked = 0;
        stream_time.now.store(static_cast<std::uint64_t>(monotonic_coarse_now()),
                              std::memory_order_relaxed);
        const timespec tick{0, tick_ns};
        ::nanosleep(&tick, nullptr);
    }
    stream_time.now.store(0, std::memory_order_relaxed);
}

void* run(void*) {
    auto& self = teller();
    std::unique_lock lock(self.mutex);
    for (;;) {
        self.wanted.wait(lock, [&] { return self.telling; });
        lock.unlock();
        tell_until_nobody_asks();
        lock.lock();
        self.telling = false;
    }
    return nullptr;
}

// A child has no such thread: its own first stream starts one.
void forget_in_child() {
    stream_time.now.store(0, std::memory_order_relaxed);
    auto& self = teller();
    new (&self) Teller;
}

}  // namespace

void tell_stream_time() noexcept {
    auto& self = teller();
    std::unique_lock lock(self.mutex, std::try_to_lock);
    if (!lock || self.telling) return;  // somebody else is at it
    if (!self.running) {
        [[maybe_unused]] static const int registered =
            ::pthread_atfork(nullptr, nullptr, forget_in_child);
        self.running = start_background_thread("shmq-clock", run, nullptr);
        if (!self.running) return;
    }
    self.telling = true;
    self.wanted.notify_one();
}

}  // namespace detail

namespace {

// So many messages in one tick, and a thread that tells the time costs less than asking.
constexpr unsigned stream_messages = 1024;

}  // namespace

std::uint64_t StreamClock::read() noexcept {
    const auto now = static_cast<std::uint64_t>(monotonic_coarse_now());
    if (now != last_) {
        last_ = now;
        in_this_tick_ = 0;
    } else if (++in_this_tick_ == stream_messages) {
        detail::tell_stream_time();
    }
    return now;
}

}  // namespace shmq

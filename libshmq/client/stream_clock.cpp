#include "client/stream_clock.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

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
    ::pthread_setname_np(::pthread_self(), "shmq-clock");
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

// On any processor, and where the sender is a real-time thread one priority above it, if that is
// allowed: a thread like the sender would never run beside it, on the one processor that a spinning
// sender is bound to. False: no thread to be had; senders go on as before.
bool start_thread() {
    int policy = SCHED_OTHER;
    sched_param priority{};
    ::pthread_getschedparam(::pthread_self(), &policy, &priority);
    cpu_set_t everywhere;
    std::memset(&everywhere, 0xff, sizeof everywhere);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    ::pthread_attr_setschedpolicy(&attributes, policy);
    ::pthread_attr_setaffinity_np(&attributes, sizeof everywhere, &everywhere);
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the program's signals are not ours to take
    bool started = false;
    for (int above = policy == SCHED_OTHER ? 0 : 1; above >= 0 && !started; --above) {
        sched_param wanted{priority.sched_priority + above};
        ::pthread_attr_setschedparam(&attributes, &wanted);
        pthread_t thread{};
        started = ::pthread_create(&thread, &attributes, run, nullptr) == 0;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
    return started;
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
        self.running = start_thread();
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

// One handle of libshmq, used by all threads of a Python program. libshmq wants one thread at a
// time; here whoever blocks holds the mutex, and who wants a short call interrupts it, goes first,
// and lets it go on. Nobody waits for the mutex while he has the interpreter's lock (the GIL); so
// taking the GIL with the mutex in hand is safe, and the other way round only try_lock is.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include <shmq/error.hpp>

namespace shmq::python {

namespace py = pybind11;
using Clock = std::chrono::steady_clock;

// Ends one blocking call from another thread, and no other call.
struct Cancel {
    std::atomic<bool> wanted{false};
};

// How long the main thread sleeps at a time: only there do signals' Python handlers run, and the
// interpreter tells nobody that one waits.
constexpr std::chrono::milliseconds signal_look{100};

inline bool is_main_thread() {
    return ::gettid() == ::getpid();
}

inline Clock::time_point deadline_of(std::int64_t timeout_ns) {
    if (timeout_ns < 0) return Clock::time_point::max();
    const auto now = Clock::now();
    const std::chrono::nanoseconds timeout(timeout_ns);
    if (now.time_since_epoch() > std::chrono::nanoseconds::max() - timeout) {
        return Clock::time_point::max();
    }
    return now + timeout;
}

inline std::int64_t nanoseconds_until(Clock::time_point deadline) {
    return std::max(std::chrono::nanoseconds(0), deadline - Clock::now()).count();
}

// Mutexes that another thread held at fork stay locked in the child.
class ForkSafeMutex {
  public:
    ForkSafeMutex() : born_(::getpid()) {}
    void lock() {
        if (!forked()) mutex_.lock();
    }
    bool try_lock() { return forked() || mutex_.try_lock(); }
    void unlock() {
        if (!forked()) mutex_.unlock();
    }
    bool forked() const { return ::getpid() != born_; }

  private:
    std::mutex mutex_;
    pid_t born_;
};

template <typename Handle>
class Turns {
  public:
    explicit Turns(Handle handle) : handle_(std::move(handle)) {}

    // Runs `call()`, which does not block, alone. With the GIL.
    template <typename Call>
    auto alone(Call call) {
        std::unique_lock lock(mutex_, std::try_to_lock);
        if (lock) return call();
        others_.fetch_add(1);
        if (!closed_) handle_->stop_waiting();
        {
            py::gil_scoped_release without_gil;
            lock.lock();
        }
        const Leaving leaving(*this);
        return call();
    }

    // The same with the handle: call(handle). Condition::closed after close().
    template <typename Call>
    auto briefly(Call call) {
        return alone([&] { return call(open()); });
    }

    // Runs `call(handle, deadline)` until it does what it should, the time is over, or somebody
    // ends it. Python's signal handlers run meanwhile, and may throw.
    template <typename Call>
    auto wait(std::int64_t timeout_ns, Cancel* cancel, Call call) {
        const auto deadline = deadline_of(timeout_ns);
        const bool main = is_main_thread();
        for (;;) {
            const auto until = main ? std::min(deadline, Clock::now() + signal_look) : deadline;
            auto result = one_turn(call, until);
            if (result.ok()) return result;
            const Condition condition = result.condition();
            if (condition == Condition::interrupted) {
                if (stop_.exchange(false) || (cancel != nullptr && cancel->wanted)) return result;
            } else if (condition != Condition::timed_out || Clock::now() >= deadline) {
                return result;
            }
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        }
    }

    // Ends the call that blocks now, or the next that would. With the GIL.
    void stop() {
        stop_ = true;
        wake();
    }
    // Lets the call that blocks look at its Cancel.
    void wake() {
        if (!closed_) handle_->stop_waiting();
    }

    // Ends the handle; who blocks gets Condition::closed. `first()` runs before, alone, and may
    // throw.
    template <typename First>
    void close(First first) {
        if (closed_) return;
        alone([&] {
            if (closed_) return;
            first();
            closed_ = true;
            py::gil_scoped_release without_gil;  // detaching may have to wait for the daemon
            handle_.reset();
        });
    }

    bool closed() const { return closed_; }
    bool forked() const { return mutex_.forked(); }

  private:
    // Says that one of the others has had its turn.
    struct Leaving {
        explicit Leaving(Turns& turns_left) : turns(turns_left) {}
        ~Leaving() {
            turns.others_.fetch_sub(1);
            turns.passed_.notify_all();
        }
        Leaving(const Leaving&) = delete;
        Leaving& operator=(const Leaving&) = delete;
        Turns& turns;
    };

    Handle& open() {
        if (closed_) throw Exception(Condition::closed);
        return *handle_;
    }

    template <typename Call>
    auto one_turn(Call& call, Clock::time_point until) {
        py::gil_scoped_release without_gil;
        std::unique_lock lock(mutex_);
        if (!mutex_.forked()) passed_.wait(lock, [&] { return others_.load() == 0; });
        return call(open(), until);
    }

    std::optional<Handle> handle_;
    std::atomic<bool> closed_{false};
    ForkSafeMutex mutex_;
    std::condition_variable_any passed_;
    std::atomic<int> others_{0};  // who want a turn while somebody blocks
    std::atomic<bool> stop_{false};
};

}  // namespace shmq::python

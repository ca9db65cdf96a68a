#include "shm/wait.hpp"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

#ifdef SHMQ_SCHEDULED_ATOMIC
// Under the schedule threads take turns: a sleep is a step that waits for the word to change.
#define SHMQ_FUTEX_EMULATED 1
#endif

namespace shmq::shm {
namespace {

#ifdef SHMQ_FUTEX_EMULATED

WaitEnd futex_wait(Atomic<std::uint32_t>& word, std::uint32_t value, Nanoseconds deadline) {
    return schedule::futex_wait(word, value, deadline != no_deadline) ? WaitEnd::signalled
                                                                      : WaitEnd::timed_out;
}
using schedule::futex_wake;
bool membarrier(int /*command*/) {
    return schedule::barrier_everywhere();
}

#else

// Shared, not private: the sleepers are in other processes.
WaitEnd futex_wait(Atomic<std::uint32_t>& word, std::uint32_t value, Nanoseconds deadline) {
    timespec until{};
    if (deadline != no_deadline) {
        until.tv_sec = deadline / nanoseconds_per_second;
        until.tv_nsec = deadline % nanoseconds_per_second;
    }
    const long result =
        ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, value,
                  deadline == no_deadline ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (result == 0 || errno == EAGAIN) return WaitEnd::signalled;
    return errno == ETIMEDOUT ? WaitEnd::timed_out : WaitEnd::interrupted;
}
// Returns how many it woke.
std::uint32_t futex_wake(Atomic<std::uint32_t>& word, std::uint32_t count) {
    const long woken = ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
    return woken < 0 ? 0 : static_cast<std::uint32_t>(woken);
}
bool membarrier(int command) {
    return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

#endif

constexpr std::uint32_t everybody = INT_MAX;  // as many as one call can wake
// After so many others were faster the count is left too high: nobody follows a peer's word for
// ever.
constexpr unsigned tries_most = 64;

std::uint32_t over(std::uint64_t waiters) {
    return static_cast<std::uint32_t>(waiters >> 32);
}
std::uint32_t waiting(std::uint64_t waiters) {
    return static_cast<std::uint32_t>(waiters);
}

// Strikes `count` registrations off, if none was since `over` was read.
void strike_off(WaitPoint& point, std::uint32_t over_then, std::uint32_t count) {
    std::uint64_t waiters = point.waiters.load(memory_order_relaxed);
    for (unsigned attempt = 0; attempt < tries_most; ++attempt) {
        if (over(waiters) != over_then || waiting(waiters) < count) return;
        const std::uint64_t after = waiters + (std::uint64_t{count} << 32) - count;
        if (point.waiters.compare_exchange_weak(waiters, after, memory_order_relaxed,
                                                memory_order_relaxed)) {
            return;
        }
    }
}

}  // namespace

bool register_for_barriers() {
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

WaitTicket register_waiter(WaitPoint& point, bool plain_publishers) {
    WaitTicket ticket;
    // The signal first: a waker that strikes us off has moved it since, so that we cannot fall
    // asleep any more.
    ticket.signal = point.signal.load(memory_order_seq_cst);
    ticket.over = over(point.waiters.fetch_add(1, memory_order_seq_cst));
    atomic_fence(memory_order_seq_cst);
    if (plain_publishers && !membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED)) {
        point.fenced.store(1, memory_order_seq_cst);
    }
    return ticket;
}

WaitEnd wait(WaitPoint& point, const WaitTicket& ticket, Nanoseconds deadline) {
    return futex_wait(point.signal, ticket.signal, deadline);
}

void leave_waiters(WaitPoint& point, const WaitTicket& ticket) {
    strike_off(point, ticket.over, 1);
}

bool wake_waiters(WaitPoint& point, std::uint32_t count) {
    count = std::min(count, everybody);
    const std::uint64_t seen = point.waiters.load(memory_order_seq_cst);
    point.signal.fetch_add(1, memory_order_seq_cst);
    const std::uint32_t woken = futex_wake(point.signal, count);
    // Fewer than asked for: who had registered by then does not sleep, nor can it fall asleep on
    // the signal that it has read.
    strike_off(point, over(seen), woken < count ? std::max(woken, waiting(seen)) : woken);
    return true;
}

void wake_all(WaitPoint& point) {
    wake_waiters(point, everybody);
}

}  // namespace shmq::shm

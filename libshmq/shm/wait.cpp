#include "shm/wait.hpp"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

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
void futex_wake(Atomic<std::uint32_t>& word, std::uint32_t count) {
    ::syscall(SYS_futex, &word, FUTEX_WAKE, count > INT_MAX ? INT_MAX : count, nullptr, nullptr, 0);
}
bool membarrier(int command) {
    return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

#endif

constexpr std::uint64_t epoch_one = std::uint64_t{1} << 32;

std::uint32_t epoch_of(std::uint64_t waiters) {
    return static_cast<std::uint32_t>(waiters >> 32);
}

}  // namespace

bool register_for_barriers() {
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

WaitTicket register_waiter(WaitPoint& point, bool plain_publishers) {
    WaitTicket ticket;
    // The signal first: read after registering it could be the one that a restart has just moved,
    // and we would sleep in an epoch that nobody counts.
    ticket.signal = point.signal.load(memory_order_seq_cst);
    ticket.epoch = epoch_of(point.waiters.fetch_add(1, memory_order_seq_cst));
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
    std::uint64_t waiters = point.waiters.load(memory_order_relaxed);
    while (epoch_of(waiters) == ticket.epoch && static_cast<std::uint32_t>(waiters) != 0) {
        if (point.waiters.compare_exchange_weak(waiters, waiters - 1, memory_order_relaxed,
                                                memory_order_relaxed)) {
            return;
        }
    }
}

bool wake_waiters(WaitPoint& point, std::uint32_t count) {
    point.signal.fetch_add(1, memory_order_seq_cst);
    futex_wake(point.signal, count);
    return true;
}

void restart_waiters(WaitPoint& point) {
    std::uint64_t waiters = point.waiters.load(memory_order_relaxed);
    while (!point.waiters.compare_exchange_weak(waiters, (waiters & ~(epoch_one - 1)) + epoch_one,
                                                memory_order_seq_cst, memory_order_relaxed)) {
    }
    wake_waiters(point, INT_MAX);
}

void poke(WaitPoint& point) {
    wake_waiters(point, INT_MAX);
}

}  // namespace shmq::shm

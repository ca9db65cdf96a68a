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
void futex_wake_private(Atomic<std::uint32_t>& word) {
    futex_wake(word, INT_MAX);
}
bool membarrier(int /*command*/) {
    return schedule::barrier_everywhere();
}
WaitEnd futex_wait_any(std::span<const WaitWord> words, Nanoseconds deadline) {
    schedule::WatchedWord watched[wait_words_max];
    std::size_t count = 0;
    for (const WaitWord& word : words) {
        watched[count++] = {reinterpret_cast<Atomic<std::uint32_t>*>(word.address),
                            static_cast<std::uint32_t>(word.value)};
    }
    return schedule::futex_wait_any({watched, count}, deadline != no_deadline) ? WaitEnd::signalled
                                                                               : WaitEnd::timed_out;
}
int probe_wait_any() {
    return 0;
}

#else

timespec to_timespec(Nanoseconds time) {
    return {time / nanoseconds_per_second, time % nanoseconds_per_second};
}
// Shared, not private: the sleepers are in other processes.
WaitEnd futex_wait(Atomic<std::uint32_t>& word, std::uint32_t value, Nanoseconds deadline) {
    const timespec until = to_timespec(deadline);
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
void futex_wake_private(Atomic<std::uint32_t>& word) {
    ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}
bool membarrier(int command) {
    return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}
static_assert(sizeof(WaitWord) == sizeof(futex_waitv) && wait_words_max == FUTEX_WAITV_MAX);
static_assert(offsetof(WaitWord, value) == offsetof(futex_waitv, val) &&
              offsetof(WaitWord, address) == offsetof(futex_waitv, uaddr) &&
              offsetof(WaitWord, flags) == offsetof(futex_waitv, flags));
WaitEnd futex_wait_any(std::span<const WaitWord> words, Nanoseconds deadline) {
    const timespec until = to_timespec(deadline);
    const long result =
        ::syscall(SYS_futex_waitv, words.data(), static_cast<unsigned>(words.size()), 0u,
                  deadline == no_deadline ? nullptr : &until, CLOCK_MONOTONIC);
    if (result >= 0 || errno == EAGAIN) return WaitEnd::signalled;
    if (errno == ETIMEDOUT) return WaitEnd::timed_out;
    return errno == EINTR ? WaitEnd::interrupted : WaitEnd::refused;
}
// A call that waits for nothing: a kernel that knows it finds fault with its arguments.
int probe_wait_any() {
    const long result = ::syscall(SYS_futex_waitv, nullptr, 0u, 0u, nullptr, CLOCK_MONOTONIC);
    return result >= 0 || errno == EINVAL ? 0 : errno;
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

WaitTicket enroll(WaitPoint& point) {
    WaitTicket ticket;
    // The signal first: a waker that strikes us off has moved it since, so that we cannot fall
    // asleep any more.
    ticket.signal = point.signal.load(memory_order_seq_cst);
    ticket.over = over(point.waiters.fetch_add(1, memory_order_seq_cst));
    return ticket;
}

bool order_after_enrolling(bool plain_publishers) {
    atomic_fence(memory_order_seq_cst);
    return !plain_publishers || membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

WaitTicket register_waiter(WaitPoint& point, bool plain_publishers) {
    const WaitTicket ticket = enroll(point);
    if (!order_after_enrolling(plain_publishers)) ask_to_fence(point);
    return ticket;
}

WaitEnd wait(WaitPoint& point, const WaitTicket& ticket, Nanoseconds deadline) {
    return futex_wait(point.signal, ticket.signal, deadline);
}

WaitWord word_of(const WaitPoint& point, const WaitTicket& ticket) {
    return {ticket.signal, reinterpret_cast<std::uintptr_t>(&point.signal), FUTEX_32, 0};
}

WaitWord private_word(const Atomic<std::uint32_t>& word, std::uint32_t value) {
    return {value, reinterpret_cast<std::uintptr_t>(&word), FUTEX_32 | FUTEX_PRIVATE_FLAG, 0};
}

void wake_private(Atomic<std::uint32_t>& word) {
    futex_wake_private(word);
}

WaitEnd wait_any(std::span<const WaitWord> words, Nanoseconds deadline) {
    return futex_wait_any(words, deadline);
}

int why_no_wait_any() {
    return probe_wait_any();
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

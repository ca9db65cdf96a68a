// Sleep and wake on a word of a segment: the only futex, the only membarrier.
//
// An eventcount. A sleeper reads `signal`, registers in `waiters`, looks once more for what it
// waits for, and sleeps while `signal` stays. A waker makes its change, looks at `waiters`, and
// only if somebody is there moves `signal` and calls the kernel.
//
// Why no wake-up is lost: let W be the waker's change and R the sleeper's registration.
//   Shared paths: W is a seq_cst CAS, followed by a seq_cst load of `waiters`; R is a seq_cst RMW,
//   followed by a seq_cst fence and the second look. Of the two, one comes first in the single
//   order: either the waker sees R, or the second look sees W.
//   Exclusive paths: W is a plain store and the waker's load may pass it. Between R and the second
//   look the sleeper calls membarrier(GLOBAL_EXPEDITED), which puts a full fence into every running
//   thread of every registered process: the waker's load came before it, then W is visible to the
//   second look; or after it, then the waker sees R. Where membarrier is refused the sleeper sets
//   `fenced`, publishers fence from then on, and until they have surely seen it sleeps are short.
//
// Who is registered: `waiters` = { over | waiting }. Whoever ends a registration, a sleeper that
// leaves or a waker that woke somebody, moves one from waiting to over, and only if `over` has not
// moved since it registered or looked; else it leaves the count alone. So `waiting` may be too
// high, and is never too low (docs/decisions/0046-a-waker-strikes-off.md). One too high, a dead
// sleeper's say, costs one call of the kernel: who calls it and finds fewer asleep than it asked
// for knows that of all who had registered nobody sleeps any more, and strikes them all off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.hpp"
#include "shm/layout.hpp"

namespace shmq::shm {

// What a sleeper must remember between registering and leaving.
struct WaitTicket {
    std::uint32_t over = 0;
    std::uint32_t signal = 0;
};

// refused: the kernel does not do this (any more); only from wait_any.
enum class WaitEnd { signalled, timed_out, interrupted, refused };

// Once for each process that publishes on exclusive paths. False: refused, it must fence instead.
bool register_for_barriers();

// Registers the caller as a sleeper. Afterwards look once more, then wait or leave.
// `plain_publishers`: wakers may be exclusive ones, so the barrier is needed.
WaitTicket register_waiter(WaitPoint& point, bool plain_publishers);
// Sleeps until a wake-up after the registration or `deadline`. Also returns for signals and for
// no reason at all: look again.
WaitEnd wait(WaitPoint& point, const WaitTicket& ticket, Nanoseconds deadline);
// Ends the registration.
void leave_waiters(WaitPoint& point, const WaitTicket& ticket);

// ---- Many at once ----
// A sleeper on many points registers in each by enroll, then calls order_after_enrolling once,
// looks at everything once more, sleeps by wait_any, and leaves each. A wake-up that it got from
// one point may have come from others as well, and the kernel tells of one only: whatever it does
// not use up itself it must pass on (docs/decisions/0047-many-queues-at-once.md).
WaitTicket enroll(WaitPoint& point);
// False: membarrier is refused, set `fenced` in the points of exclusive wakers.
bool order_after_enrolling(bool plain_publishers);
inline void ask_to_fence(WaitPoint& point) {
    point.fenced.store(1, memory_order_seq_cst);
}

// A word and the value it has as long as nobody woke its sleepers; as the kernel's futex_waitv.
struct WaitWord {
    std::uint64_t value = 0;
    std::uint64_t address = 0;
    std::uint32_t flags = 0;
    std::uint32_t reserved = 0;
};
constexpr std::size_t wait_words_max = 128;  // the kernel's FUTEX_WAITV_MAX
WaitWord word_of(const WaitPoint& point, const WaitTicket& ticket);
// One that is not shared between processes.
WaitWord private_word(const Atomic<std::uint32_t>& word, std::uint32_t value);
void wake_private(Atomic<std::uint32_t>& word);
// As wait, for any of the words. REQUIRES: 1 to wait_words_max of them. refused: see errno.
WaitEnd wait_any(std::span<const WaitWord> words, Nanoseconds deadline);
// 0, or the errno with which the kernel refuses wait_any.
int why_no_wait_any();

// Wakes up to `count` sleepers if there are any. REQUIRES: what they wait for was changed by a
// seq_cst operation, or by a plain store followed by `fence_if_asked`. True: it called the kernel.
// Who was woken is not registered any more: the next waker does not call the kernel for it again,
// however long it may take until it runs.
inline bool anybody_waits(const WaitPoint& point) {
    return static_cast<std::uint32_t>(point.waiters.load(memory_order_seq_cst)) != 0;
}
bool wake_waiters(WaitPoint& point, std::uint32_t count);
inline bool wake(WaitPoint& point, std::uint32_t count) {
    return anybody_waits(point) && wake_waiters(point, count);
}
// The publisher's half of the exclusive paths. `fence`: this process could not register.
inline void fence_if_asked(const WaitPoint& point, bool fence) {
    if (fence || point.fenced.load(memory_order_relaxed) != 0) atomic_fence(memory_order_seq_cst);
}

// Whether those who would wake these sleepers may not act for now.
inline bool is_paused(const WaitPoint& point) {
    return point.closed.load(memory_order_relaxed) ==
           static_cast<std::uint32_t>(QueueStatus::paused);
}

// Wakes everybody, registered or not: for stop_waiting, and for the supervisor after a death. Any
// thread, any signal handler.
void wake_all(WaitPoint& point);

}  // namespace shmq::shm

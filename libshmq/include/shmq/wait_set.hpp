// WaitSet: waits for messages of many queues at once, in three ways: by a call that sleeps (wait),
// in a loop of poll or epoll (descriptor), or by an io_uring of the program's own (prepare).
//
//     auto set = shmq::value_or_throw(shmq::WaitSet::create());
//     shmq::value_or_throw(set.add(orders));
//     shmq::value_or_throw(set.add(returns));
//     for (;;) {
//         for (shmq::Consumer* consumer : shmq::value_or_throw(set.wait())) {
//             auto message = shmq::value_or_throw(consumer->try_receive());
//             if (message) handle(*message);
//         }
//     }
//
// It only looks: no message is taken, and none is leased, before the consumer's own receive. So
// what is told as ready may be another consumer's by then: use try_receive. A consumer is ready
// when a message is there, and when its queue was removed or quarantined (receiving says which;
// take it out of the set). One of a paused queue is not, nor one that holds as many messages as it
// may: that one is looked at again by the next call after it has ended some.
//
// Where several consumers sleep on one queue, a message that a set was woken for wakes another of
// them too: a set does not know whether its program will take it.
//
// Threads: a set and all consumers in it are one thread's at a time, as a consumer is (a Debug
// build aborts where calls overlap); stop_waiting is for all. Lifetime: independent of the
// consumers, which may be moved; one that is destroyed leaves its set. After fork the child gets
// Condition::forked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <shmq/consumer.hpp>
#include <shmq/error.hpp>

namespace shmq {

class WaitSetCore;

// A word of memory, and the value it has until somebody wakes those who wait for it. The layout is
// that of the kernel's `struct futex_waitv`.
struct FutexWord {
    std::uint64_t value = 0;
    std::uint64_t address = 0;
    std::uint32_t flags = 0;  // FUTEX2_SIZE_U32, and not private
    std::uint32_t reserved = 0;
};

class SHMQ_EXPORT WaitSet {
  public:
    using Deadline = std::chrono::steady_clock::time_point;
    using Ready = std::span<Consumer* const>;  // valid until the next call on the set

    // The kernel waits for 128 words at once; one of them is stop_waiting's. Who has more queues
    // waits in more threads, or has more sets with a descriptor each.
    static constexpr std::size_t size_max = 127;

    // Conditions: system_error (a kernel before Linux 5.16, or a seccomp filter, refuses
    // futex_waitv: the text says so).
    static Result<WaitSet> create() noexcept;

    WaitSet(WaitSet&& other) noexcept;
    WaitSet& operator=(WaitSet&& other) noexcept;
    ~WaitSet();

    // Consumers of any queues and any clients, each in one set at a time. Never blocks. Conditions:
    // invalid_argument (already in a set, or one too many), closed, forked, system_error.
    Result<void> add(Consumer& consumer) noexcept;
    // Condition::invalid_argument if it is not in this set.
    Result<void> remove(Consumer& consumer) noexcept;
    std::size_t size() const noexcept;

    // Those that are ready, at least one; waits for it: spins briefly, then sleeps. The one told
    // first changes from call to call. No system call unless it sleeps; allocates nothing.
    // Conditions: timed_out, interrupted, in_flight_limit (of all of them: nothing could become
    // ready), invalid_argument (the set is empty), system_error, forked, closed.
    Result<Ready> wait() noexcept;
    Result<Ready> wait_until(Deadline deadline) noexcept;
    template <typename Duration>
    Result<Ready> wait_for(Duration timeout) noexcept {
        return wait_until(std::chrono::steady_clock::now() + timeout);
    }
    // Those that are ready now, perhaps none. Never sleeps, but for microseconds where the
    // descriptor's thread is about to.
    Result<Ready> try_wait() noexcept;

    // ---- In a loop of poll, epoll or the like ----
    // An eventfd, readable at first, and whenever a consumer may be ready: then call try_wait, and
    // receive. It stays readable until a try_wait has found nothing, which arms it: so whoever
    // calls that once for each time it is readable needs nothing else, edge-triggered or not. A
    // consumer that held as many messages as it may is looked at by the next try_wait: call it
    // after an ack, if the loop does not come by otherwise. The descriptor is the set's: do not
    // read or close it. The first call starts a thread, which sleeps while the set is armed, and
    // ends with it. Conditions: system_error, forked, closed.
    Result<int> descriptor() noexcept;

    // ---- By an io_uring of the program's own (Linux 6.7) ----
    // What to sleep on: IORING_OP_FUTEX_WAITV with `words` as they lie there, or
    // IORING_OP_FUTEX_WAIT for each, with all bits as its mask. Submit it now: a word that has
    // changed completes it with EAGAIN. However it completes, or once it was cancelled, call
    // try_wait: that ends the sleep on the side of the queues. Do so soon: a wake-up may be the
    // only one for its message. `words` empty: something is ready already, do not sleep. They are
    // valid until the next call on the set, or until a consumer leaves it; any such call ends the
    // sleep on the queues' side, and the program cancels its own.
    struct Sleep {
        std::span<const FutexWord> words = {};
        // After so long call try_wait in any case (a linked timeout does): should somebody have
        // died between sending and waking.
        std::chrono::nanoseconds at_most{0};
    };
    // Never sleeps. Conditions: in_flight_limit (of all consumers), forked, closed.
    Result<Sleep> prepare() noexcept;

    // Makes a wait that sleeps now, or the next that would, return Condition::interrupted.
    // The one call that any thread and any signal handler may make.
    void stop_waiting() noexcept;

  private:
    struct Drop {
        void operator()(WaitSetCore* core) const noexcept;
    };
    explicit WaitSet(WaitSetCore* core) noexcept : core_(core) {}
    std::unique_ptr<WaitSetCore, Drop> core_;
};

}  // namespace shmq

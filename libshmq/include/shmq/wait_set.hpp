// WaitSet: one thread waits for many queues at once.
//
//     auto set = shmq::value_or_throw(shmq::WaitSet::create());
//     shmq::value_or_throw(set.add(orders, 1));
//     shmq::value_or_throw(set.add(cancels, 2));
//     std::vector<std::uint64_t> ready;
//     for (;;) {
//         shmq::value_or_throw(set.wait(ready));
//         for (const std::uint64_t key : ready) {
//             auto& consumer = key == 1 ? orders : cancels;
//             if (auto message = shmq::value_or_throw(consumer.try_receive())) handle(*message);
//         }
//     }
//
// A consumer is ready while there is something for it to receive, and stays so until it is received
// (level-triggered): a message, or an error that ends waiting, as of a queue that was removed. Ready
// is no reservation: another consumer may be faster, so call try_receive, which may find nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <shmq/consumer.hpp>
#include <shmq/error.hpp>

namespace shmq {

class WaitSetCore;

// Threads: a set and its consumers belong to one thread at a time; stop_waiting is for any.
// Lifetime: set and consumers may go in any order; a consumer that goes, or is assigned another,
// leaves its set. After fork the child gets Condition::forked.
class SHMQ_EXPORT WaitSet {
  public:
    using Deadline = std::chrono::steady_clock::time_point;
    // What one call of the kernel can wait for, less one for stop_waiting.
    static constexpr std::size_t consumers_most = 127;

    // Condition::system_error with os_error() ENOSYS before Linux 5.16, which has no futex_waitv.
    static Result<WaitSet> create() noexcept;
    WaitSet(WaitSet&& other) noexcept;
    WaitSet& operator=(WaitSet&& other) noexcept;
    ~WaitSet();

    // `key`: what wait() calls it; need not be unique. Moving the consumer leaves it in the set.
    // Condition::invalid_argument: it is in a set already, or this one has consumers_most.
    Result<void> add(Consumer& consumer, std::uint64_t key) noexcept;
    // Condition::invalid_argument: it is not in this set.
    Result<void> remove(Consumer& consumer) noexcept;
    std::size_t size() const noexcept;

    // Replaces `ready` by the keys of all consumers that are ready, in the order they were added;
    // waits until there is one: spins briefly, then sleeps. Returns how many. Allocates only if
    // `ready` must grow. A consumer that holds as many messages as it may, or whose queue is
    // paused, is not ready. Conditions: timed_out, interrupted, forked; in_flight_limit where every
    // consumer of the set holds as many as it may; invalid_argument for a set without consumers.
    Result<std::size_t> wait(std::vector<std::uint64_t>& ready) noexcept;
    Result<std::size_t> wait_until(std::vector<std::uint64_t>& ready, Deadline deadline) noexcept;
    template <typename Duration>
    Result<std::size_t> wait_for(std::vector<std::uint64_t>& ready, Duration timeout) noexcept {
        return wait_until(ready, std::chrono::steady_clock::now() + timeout);
    }
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

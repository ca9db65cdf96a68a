// Consumer: receives from one queue, at least once each message, exactly once while nobody dies and
// no lease runs out. Returned messages are offered before new ones.
//
// Threads: it and its messages may be handed from one to another, but no two calls may overlap (a
// Debug build aborts then, and says who): make one for each. Messages may outlive it; they went
// back to the queue when it was dropped, and say stale. After fork the child gets forked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <shmq/error.hpp>
#include <shmq/message.hpp>

namespace shmq {

class SHMQ_EXPORT Consumer {
  public:
    using Deadline = std::chrono::steady_clock::time_point;

    Consumer(Consumer&& other) noexcept;
    Consumer& operator=(Consumer&& other) noexcept;
    ~Consumer();  // detaches; what it holds goes back to the queue at once

    // Waits for a message: spins briefly, then sleeps. No system call unless it sleeps or wakes
    // somebody; allocates nothing.
    // Conditions: timed_out, in_flight_limit, queue_removed, quarantined, interrupted, forked.
    Result<Message> receive() noexcept;
    Result<Message> receive_until(Deadline deadline) noexcept;
    template <typename Duration>
    Result<Message> receive_for(Duration timeout) noexcept {
        return receive_until(std::chrono::steady_clock::now() + timeout);
    }
    // Never sleeps; an empty optional if there is nothing.
    Result<std::optional<Message>> try_receive() noexcept;

    // Whether messages of the queue lie in its journal and are on their way into the ring: then
    // "nothing there" means not yet. Reads shared memory; never blocks; exact only in a quiet
    // queue.
    bool more_to_come() const noexcept;

    // Appends up to `most` messages that are there now; waits for the first of them.
    // Returns how many. Allocates only if `into` must grow.
    Result<std::size_t> receive_batch(std::vector<Message>& into, std::size_t most) noexcept;
    Result<std::size_t> receive_batch_until(std::vector<Message>& into, std::size_t most,
                                            Deadline deadline) noexcept;
    Result<std::size_t> try_receive_batch(std::vector<Message>& into, std::size_t most) noexcept;

    // Acks each; ends all handles. Returns how many were still ours; the others were stale.
    std::size_t ack(std::span<Message> messages) noexcept;
    // Cumulative, exclusive consumers only: acks `last` and every message received before it, whose
    // handles end too (they answer stale). Condition::invalid_argument for a shared consumer.
    Result<std::size_t> ack_through(Message& last) noexcept;

    // Says that this message is being handled now: should the process die, the failure is this
    // message's, and the others that it holds have not failed. Without a word, or once that message
    // has ended, it is the oldest held. Costs one store.
    void handling(const Message& message) noexcept;

    // Unacked messages held, and how many may be (changes as consumers come and go).
    std::size_t in_flight() const noexcept;
    std::size_t in_flight_limit() const noexcept;
    // Makes a receive that sleeps now, or the next that would, return Condition::interrupted.
    // The one call that any thread and any signal handler may make.
    void stop_waiting() noexcept;

  private:
    friend class Client;
    friend class WaitSet;
    struct Drop {
        void operator()(ConsumerCore* core) const noexcept;
    };
    explicit Consumer(ConsumerCore* core) noexcept : core_(core) {}
    std::unique_ptr<ConsumerCore, Drop> core_;
};

}  // namespace shmq

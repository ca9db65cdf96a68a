// Producer: sends to one queue.
//
// Threads: it may be handed from one to another, but no two calls may overlap (a Debug build aborts
// then, and says who): make one for each. Lifetime: independent of its Client; loans must not
// outlive it unused (sending them fails, cleanly). After fork the child gets Condition::forked.
//
// Send has taken effect wholly or not at all, whenever the process dies. A send that returned
// without error is in the queue until acked, dropped under a counted reason, or purged.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <shmq/durability.hpp>
#include <shmq/error.hpp>
#include <shmq/message.hpp>

namespace shmq {

namespace detail {
// What nearly every send is: small, and there is room. False: nothing happened.
SHMQ_EXPORT bool send_at_once(ProducerCore* core, const std::byte* data, std::size_t size) noexcept;
}  // namespace detail

class SHMQ_EXPORT Producer {
  public:
    using Deadline = std::chrono::steady_clock::time_point;

    Producer(Producer&& other) noexcept;
    Producer& operator=(Producer&& other) noexcept;
    ~Producer();  // detaches; what was sent stays

    // Copies the payload and sends it. Blocks while there is no room (Overflow::block, or a journal
    // that finds none), for ever or until the deadline. No system call unless it sleeps or wakes
    // somebody; allocates nothing. Conditions: full (Overflow::reject), timed_out, too_big,
    // queue_removed, quarantined, forked.
    Result<void> send(std::span<const std::byte> payload) noexcept {
        if (detail::send_at_once(core_.get(), payload.data(), payload.size())) [[likely]]
            return {};
        return send_patiently(payload);
    }
    Result<void> send(std::string_view payload) noexcept {
        return send(std::as_bytes(std::span(payload.data(), payload.size())));
    }
    Result<void> send_until(std::span<const std::byte> payload, Deadline deadline) noexcept;
    template <typename Duration>
    Result<void> send_for(std::span<const std::byte> payload, Duration timeout) noexcept {
        return send_until(payload, std::chrono::steady_clock::now() + timeout);
    }
    // Never sleeps: Condition::full if there is no room.
    Result<void> try_send(std::span<const std::byte> payload) noexcept {
        if (detail::send_at_once(core_.get(), payload.data(), payload.size())) [[likely]]
            return {};
        return send_now(payload);
    }
    Result<void> try_send(std::string_view payload) noexcept {
        return try_send(std::as_bytes(std::span(payload.data(), payload.size())));
    }

    // Memory of the pool to build a message of `size` bytes in, up to the queue's max_message.
    // Blocks while the pool has no such block (or answers full, as the queue's overflow says).
    Result<Loan> loan(std::size_t size) noexcept;
    Result<Loan> loan_until(std::size_t size, Deadline deadline) noexcept;
    Result<Loan> try_loan(std::size_t size) noexcept;
    // Sends a loan without copying. On success the loan is spent; on failure it stays usable.
    Result<void> send(Loan& loan) noexcept;
    Result<void> send(Loan&& loan) noexcept { return send(loan); }
    Result<void> send_until(Loan& loan, Deadline deadline) noexcept;
    Result<void> try_send(Loan& loan) noexcept;

    // Sends in order, paying once what can be shared (clock, wake-ups). Returns how many were sent:
    // all, or fewer if the queue filled up (try_send_batch), the deadline came, or an error came
    // after the first; the error itself only if none was sent.
    Result<std::size_t> send_batch(std::span<const std::span<const std::byte>> payloads) noexcept;
    Result<std::size_t> send_batch_until(std::span<const std::span<const std::byte>> payloads,
                                         Deadline deadline) noexcept;
    Result<std::size_t> try_send_batch(
        std::span<const std::span<const std::byte>> payloads) noexcept;

    // ---- Confirms, of queues with a durable journal ----
    // A send returns when its message is accepted. The journal then writes and syncs many at once;
    // how far it has come is told to all. Confirms are cumulative: what was sent before a confirmed
    // message by the same producer is confirmed as well. Semantics: RabbitMQ's publisher confirms
    // with `multiple`.
    //
    // A receipt stands for all that this producer has sent so far; 0: nothing that needs a confirm.
    std::uint64_t last_receipt() const noexcept;
    // Whether all up to that receipt has reached the level. Reads shared memory; never blocks.
    bool is_confirmed(std::uint64_t receipt, Durability level) const noexcept;
    // Blocks until all sent so far, or all up to that receipt, has reached the level. Conditions:
    // timed_out, interrupted, invalid_argument (the queue does not promise as much), journal_failed
    // (nothing more comes), queue_removed, quarantined, forked. `accepted` returns at once.
    Result<void> await_confirm(Durability level) noexcept;
    Result<void> await_confirm_until(Durability level, Deadline deadline) noexcept;
    Result<void> await_confirm_until(std::uint64_t receipt, Durability level,
                                     Deadline deadline) noexcept;

    // An eventfd for poll, epoll or io_uring: readable whenever more has been confirmed since it
    // was last read, or confirms have ended; then ask is_confirmed. Belongs to the producer; do not
    // close it. The first call starts a thread, which ends with the producer. Conditions:
    // invalid_argument (no durable journal), system_error, forked, closed.
    Result<int> confirm_descriptor() noexcept;

    // Largest payload this queue takes, in bytes.
    std::uint64_t max_message() const noexcept;
    // Makes a send that sleeps now, or the next that would, return Condition::interrupted.
    // The one call that any thread and any signal handler may make.
    void stop_waiting() noexcept;

  private:
    friend class Client;
    struct Drop {
        void operator()(ProducerCore* core) const noexcept;
    };
    explicit Producer(ProducerCore* core) noexcept : core_(core) {}
    Result<void> send_patiently(std::span<const std::byte> payload) noexcept;
    Result<void> send_now(std::span<const std::byte> payload) noexcept;
    std::unique_ptr<ProducerCore, Drop> core_;
};

}  // namespace shmq

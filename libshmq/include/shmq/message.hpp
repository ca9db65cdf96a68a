// Loan: memory of the queue to write a message into. Message: a message held under a lease.
// Both are move-only and do the safe thing when dropped: an unsent loan goes back to the pool, an
// unacked message goes back to the queue at once, to be delivered again.
//
// Threads: a Loan belongs to its Producer and a Message to its Consumer; use them from the thread
// that uses that one, or take turns under a lock. Different producers and consumers are
// independent.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <shmq/error.hpp>

namespace shmq {

class ConsumerCore;
class ProducerCore;
class Message;
namespace shm {
struct Delivery;
}
namespace detail {
// What nearly every ack is: in a slot, and still ours. False: nothing happened.
SHMQ_EXPORT bool ack_at_once(Message& message) noexcept;
}  // namespace detail

// What a message from a dead-letter queue has behind it. It keeps that when it is redriven.
struct DeadLetter {
    // How its last delivery ended: `rejected`, `expired`, `crashed:SIGSEGV` (with the signal or
    // `exit-N` where the kernel tells, else `crashed`), or `max-deliveries` where nobody knows.
    std::string reason;
    std::string source;          // name of the queue it was in; empty: its history had no room here
    std::uint64_t sequence = 0;  // that it had there
    std::uint32_t deliveries = 0;  // and its counts
    std::uint32_t failures = 0;
    std::chrono::steady_clock::time_point first_failure;
    std::chrono::steady_clock::time_point last_failure;
    std::chrono::steady_clock::time_point moved;
    // Who had it last; zeros where nobody knows.
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::string executable;      // the end of its path
    std::uint32_t redriven = 0;  // how often it was moved back
    std::chrono::steady_clock::time_point last_redriven;
};

class SHMQ_EXPORT Loan {
  public:
    Loan(Loan&& other) noexcept;
    Loan& operator=(Loan&& other) noexcept;
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan();

    // Writable, uninitialised, as large as asked for; valid until the loan is sent or dropped.
    std::span<std::byte> bytes() noexcept { return {data_, size_}; }
    std::byte* data() noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    // Sends less than was asked for. REQUIRES: size <= size().
    void shrink(std::size_t size) noexcept;

  private:
    friend class ProducerCore;
    Loan(ProducerCore* core, std::byte* data, std::size_t size, std::uint64_t block,
         std::uint64_t generation) noexcept
        : core_(core), data_(data), size_(size), block_(block), generation_(generation) {}

    ProducerCore* core_;
    std::byte* data_;
    std::size_t size_;
    std::uint64_t block_;
    std::uint64_t generation_;
};

class SHMQ_EXPORT Message {
    // Only a consumer makes messages; also in place, in a container of its caller's.
    class Made {
        friend class ConsumerCore;
        Made() noexcept = default;
    };

  public:
    Message(Made, ConsumerCore* core, const shm::Delivery& delivery) noexcept;
    Message(Message&& other) noexcept
        : core_(std::exchange(other.core_, nullptr)),
          data_(other.data_),
          sequence_(other.sequence_),
          timestamp_(other.timestamp_),
          word_(other.word_),
          size_(other.size_),
          deliveries_(other.deliveries_),
          failures_(other.failures_),
          block_(other.block_),
          generation_(other.generation_) {}
    Message& operator=(Message&& other) noexcept;
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message() {
        if (core_ != nullptr) drop();
    }

    // The payload, read in place; the message's own as long as the lease lasts (see still_held).
    std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    const std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

    // Rises in the order of the queue; numbers may be left out, none comes twice.
    std::uint64_t sequence() const noexcept { return sequence_; }
    // When it was sent, on the steady clock, a few milliseconds coarse (within a stream as of the
    // last tick of 4 ms); exact with QueueOptions::exact_timestamps. The sender's steady clock: in
    // another time namespace it is another one, and ages between the two mean nothing.
    std::chrono::steady_clock::time_point timestamp() const noexcept {
        return std::chrono::steady_clock::time_point(
            std::chrono::nanoseconds(static_cast<std::int64_t>(timestamp_)));
    }
    // True if it was delivered before: its work may be done, or half done.
    bool redelivered() const noexcept { return deliveries_ > 1; }
    // Deliveries so far, this one included; stays at 1023.
    std::uint32_t deliveries() const noexcept { return deliveries_; }
    // Deliveries that failed: consumer crashed, rejected, or its lease ran out. Stays at 1023.
    std::uint32_t failures() const noexcept { return failures_; }

    // What it has behind it, if it ever was a dead letter. Nothing as well if the lease is over, or
    // no memory is left. Allocates.
    std::optional<DeadLetter> history() const noexcept;

    // Each of these ends this handle, whatever it returns. None blocks.
    // Condition::stale: the lease had ended before; another may have the message; nothing changed.

    // Done: the message is gone for good. Not undone by any death once returned.
    Result<void> ack() noexcept {
        if (detail::ack_at_once(*this)) [[likely]]
            return {};
        return ack_otherwise();
    }
    // Not now: back to the queue, before new messages; at once, or after the queue's retry delay
    // where it has one. Does not count as a failure.
    Result<void> nack() noexcept;
    // Not before `delay` has passed, 30 days at most (else invalid_argument, and the handle stays).
    // Precise to 4 ms while the daemon runs; never early.
    Result<void> nack(std::chrono::nanoseconds delay) noexcept;
    // Never: to the dead-letter queue; without one it is dropped, and counted. A failure.
    Result<void> reject() noexcept;

    // Renews the lease for the queue's lease time, or for `lease` from now; the handle stays.
    Result<void> extend() noexcept;
    Result<void> extend(std::chrono::nanoseconds lease) noexcept;
    // Whether the lease still is ours. Call it after reading in place and before relying on what
    // was read, if the lease may have run out meanwhile.
    bool still_held() const noexcept;

  private:
    friend class ConsumerCore;
    friend bool detail::ack_at_once(Message& message) noexcept;
    template <typename T>
    friend class Result;
    Result<void> ack_otherwise() noexcept;
    void drop() noexcept;

    ConsumerCore* core_ = nullptr;
    const std::byte* data_ = nullptr;
    std::uint64_t sequence_ = 0;
    std::uint64_t timestamp_ = 0;
    std::uint64_t word_ = 0;  // the slot's word when it became ours
    std::uint32_t size_ = 0;
    std::uint16_t deliveries_ = 0;
    std::uint16_t failures_ = 0;
    std::uint64_t block_ = 0;
    std::uint64_t generation_ = 0;
};

}  // namespace shmq

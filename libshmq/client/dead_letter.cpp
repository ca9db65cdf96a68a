// What goes beyond receive and ack: delays, the message in hand, and the history of dead letters.
#include <shmq/consumer.hpp>

#include "client/cores.hpp"
#include "shm/audit.hpp"

namespace shmq {
namespace {

std::chrono::steady_clock::time_point time_of(std::uint64_t monotonic_ns) {
    return std::chrono::steady_clock::time_point(
        std::chrono::nanoseconds(static_cast<std::int64_t>(monotonic_ns)));
}

}  // namespace

DeadLetter dead_letter_of(const shm::DeadLetterRecord& record) {
    DeadLetter letter;
    letter.reason = shm::dead_reason(record);
    letter.source = record.source;
    letter.sequence = record.sequence;
    letter.deliveries = record.deliveries;
    letter.failures = record.failures;
    letter.first_failure = time_of(record.first_failure_at);
    letter.last_failure = time_of(record.last_failure_at);
    letter.moved = time_of(record.moved_at);
    letter.pid = record.pid;
    letter.uid = record.uid;
    letter.executable = record.executable;
    letter.redriven = record.redriven;
    letter.last_redriven = time_of(record.redriven_at);
    return letter;
}

std::optional<DeadLetter> ConsumerCore::history(const Message& message) noexcept {
    if (unusable() || !still_held(message)) return std::nullopt;
    const shm::QueueView& view = side_.view();
    const std::uint32_t word =
        view.ring.slot(message.sequence_).length.load(std::memory_order_relaxed);
    try {
        if ((word & shm::length_history) == 0) {
            if ((word & shm::length_redriven) == 0 || !still_held(message)) return std::nullopt;
            DeadLetter unknown;
            unknown.redriven = 1;
            return unknown;
        }
        const auto record =
            shm::read_history(message.data_, message.size_, view.pool.block_bytes(message.block_));
        if (!record || !still_held(message)) return std::nullopt;
        return dead_letter_of(*record);
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
}

Result<void> ConsumerCore::nack_later(Message& message, Nanoseconds delay) noexcept {
    return end(message, Verb::nack, deadline_after(queue_now(), delay));
}

void ConsumerCore::handling(const Message& message) noexcept {
    if (unusable() || message.core_ != this) return;
    side_.record().handling.store(message.sequence_ + 1, std::memory_order_relaxed);
}

std::optional<DeadLetter> Message::history() const noexcept {
    if (core_ == nullptr) return std::nullopt;
    return core_->history(*this);
}

Result<void> Message::nack(std::chrono::nanoseconds delay) noexcept {
    if (delay.count() < 0 || delay.count() > limits::delay_max_ns) {
        return Error(Condition::invalid_argument, "a delay is 0 to 30 days");
    }
    if (core_ == nullptr) return Condition::stale;
    return core_->nack_later(*this, delay.count());
}

void Consumer::handling(const Message& message) noexcept {
    if (core_) core_->handling(message);
}

}  // namespace shmq

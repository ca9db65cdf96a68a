#include <shmq/message.hpp>

#include <memory>

#include "c/handles.hpp"
#include "c/translate.hpp"

using namespace shmq::c;

namespace {

int64_t nanoseconds_of(std::chrono::steady_clock::time_point time) {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

struct OwnedDeadLetter : shmq_dead_letter {
    explicit OwnedDeadLetter(shmq::DeadLetter&& from) : shmq_dead_letter{}, kept(std::move(from)) {
        reason = kept.reason.c_str();
        source = kept.source.c_str();
        sequence = kept.sequence;
        deliveries = kept.deliveries;
        failures = kept.failures;
        first_failure_ns = nanoseconds_of(kept.first_failure);
        last_failure_ns = nanoseconds_of(kept.last_failure);
        moved_ns = nanoseconds_of(kept.moved);
        pid = kept.pid;
        uid = kept.uid;
        executable = kept.executable.c_str();
        redriven = kept.redriven;
        last_redriven_ns = nanoseconds_of(kept.last_redriven);
    }
    OwnedDeadLetter(const OwnedDeadLetter&) = delete;
    OwnedDeadLetter& operator=(const OwnedDeadLetter&) = delete;

    shmq::DeadLetter kept;
};

bool holds(const shmq_message* message) {
    return message != nullptr && message->held;
}

// Ends the message by a verb, whatever that returns.
template <typename Verb>
shmq_code end(shmq_message* message, Verb verb) noexcept {
    if (message == nullptr) [[unlikely]]
        return fail_null("the message");
    if (!message->held) [[unlikely]]
        return fail(shmq::Condition::stale);
    const auto done = verb(*message->held);
    message->held.reset();
    return code_of(done);
}

}  // namespace

shmq_message* shmq_message_new(void) noexcept {
    return new (std::nothrow) shmq_message;
}

void shmq_message_free(shmq_message* message) noexcept {
    delete message;
}

const void* shmq_message_data(const shmq_message* message) noexcept {
    return holds(message) ? message->held->data() : nullptr;
}

size_t shmq_message_size(const shmq_message* message) noexcept {
    return holds(message) ? message->held->size() : 0;
}

uint64_t shmq_message_sequence(const shmq_message* message) noexcept {
    return holds(message) ? message->held->sequence() : 0;
}

int64_t shmq_message_timestamp_ns(const shmq_message* message) noexcept {
    return holds(message) ? nanoseconds_of(message->held->timestamp()) : 0;
}

int shmq_message_redelivered(const shmq_message* message) noexcept {
    return holds(message) && message->held->redelivered();
}

uint32_t shmq_message_deliveries(const shmq_message* message) noexcept {
    return holds(message) ? message->held->deliveries() : 0;
}

uint32_t shmq_message_failures(const shmq_message* message) noexcept {
    return holds(message) ? message->held->failures() : 0;
}

shmq_code shmq_message_ack(shmq_message* message) noexcept {
    return end(message, [](shmq::Message& held) { return held.ack(); });
}

shmq_code shmq_message_nack(shmq_message* message) noexcept {
    return end(message, [](shmq::Message& held) { return held.nack(); });
}

shmq_code shmq_message_nack_delayed(shmq_message* message, int64_t delay_ns) noexcept {
    if (!holds(message)) return shmq_message_nack(message);
    const auto done = message->held->nack(std::chrono::nanoseconds(delay_ns));
    if (done.condition() != shmq::Condition::invalid_argument) message->held.reset();
    return code_of(done);
}

shmq_code shmq_message_reject(shmq_message* message) noexcept {
    return end(message, [](shmq::Message& held) { return held.reject(); });
}

shmq_code shmq_message_extend(shmq_message* message, int64_t lease_ns) noexcept {
    if (message == nullptr) return fail_null("the message");
    if (!message->held) return fail(shmq::Condition::stale);
    if (lease_ns == 0) return code_of(message->held->extend());
    return code_of(message->held->extend(std::chrono::nanoseconds(lease_ns)));
}

int shmq_message_still_held(const shmq_message* message) noexcept {
    return holds(message) && message->held->still_held();
}

shmq_code shmq_message_history(const shmq_message* message, shmq_dead_letter** history) noexcept {
    if (message == nullptr) return fail_null("the message");
    if (history == nullptr) return fail_null("the place for the history");
    return guarded([&] {
        if (!message->held) return fail(shmq::Condition::nothing);
        auto found = message->held->history();
        if (!found) return fail(shmq::Condition::nothing);
        *history = new OwnedDeadLetter(std::move(*found));
        return SHMQ_OK;
    });
}

void shmq_dead_letter_free(shmq_dead_letter* history) noexcept {
    delete static_cast<OwnedDeadLetter*>(history);
}

#include <shmq/consumer.hpp>

#include "c/handles.hpp"
#include "c/translate.hpp"

using namespace shmq::c;
using Deadline = shmq::Consumer::Deadline;

namespace {

bool has_null(shmq_message* const* messages, size_t count) {
    for (size_t index = 0; index < count; ++index) {
        if (messages[index] == nullptr) return true;
    }
    return false;
}

}  // namespace

shmq_code shmq_consumer_open(shmq_client* client, const char* queue,
                             const shmq_consumer_options* options,
                             shmq_consumer** consumer) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    if (consumer == nullptr) return fail_null("the place for the consumer");
    return guarded([&] {
        const auto read = read_options(options);
        if (!read) return fail(read.error());
        auto opened = client->client.consumer(queue, {.in_flight = read->in_flight});
        if (opened) *consumer = new shmq_consumer{std::move(opened).value()};
        return code_of(opened);
    });
}

void shmq_consumer_close(shmq_consumer* consumer) noexcept {
    if (consumer != nullptr) leave_set(consumer);
    delete consumer;
}

shmq_code shmq_consumer_receive(shmq_consumer* consumer, shmq_message* message,
                                int64_t timeout_ns) noexcept {
    if (consumer == nullptr) [[unlikely]]
        return fail_null("the consumer");
    if (message == nullptr) [[unlikely]]
        return fail_null("the message");
    message->held.reset();
    shmq::Consumer& from = consumer->consumer;
    if (timeout_ns == SHMQ_NOW) {
        auto received = from.try_receive();
        if (!received) return fail(received.error());
        if (!*received) return fail(shmq::Condition::nothing);
        message->held.emplace(std::move(**received));
        return SHMQ_OK;
    }
    const auto forever = [&] { return from.receive(); };
    auto received = with_timeout(
        timeout_ns, forever, [&](Deadline deadline) { return from.receive_until(deadline); },
        forever);
    if (!received) return fail(received.error());
    message->held.emplace(std::move(*received));
    return SHMQ_OK;
}

shmq_code shmq_consumer_receive_batch(shmq_consumer* consumer, shmq_message* const* messages,
                                      size_t most, int64_t timeout_ns, size_t* received) noexcept {
    if (received == nullptr) return fail_null("the place for the number received");
    *received = 0;
    if (consumer == nullptr) return fail_null("the consumer");
    if (messages == nullptr && most != 0) return fail_null("the messages");
    if (has_null(messages, most)) return fail_null("a message");
    for (size_t index = 0; index < most; ++index)
        messages[index]->held.reset();
    shmq::Consumer& from = consumer->consumer;
    auto& into = consumer->messages;
    const auto done = with_timeout(
        timeout_ns, [&] { return from.try_receive_batch(into, most); },
        [&](Deadline deadline) { return from.receive_batch_until(into, most, deadline); },
        [&] { return from.receive_batch(into, most); });
    if (!done) return fail(done.error());
    for (size_t index = 0; index < into.size(); ++index)
        messages[index]->held.emplace(std::move(into[index]));
    into.clear();
    *received = *done;
    return *received == 0 && most != 0 ? fail(shmq::Condition::nothing) : SHMQ_OK;
}

shmq_code shmq_consumer_ack_batch(shmq_consumer* consumer, shmq_message* const* messages,
                                  size_t count, size_t* acked) noexcept {
    if (acked != nullptr) *acked = 0;
    if (consumer == nullptr) return fail_null("the consumer");
    if (messages == nullptr && count != 0) return fail_null("the messages");
    if (has_null(messages, count)) return fail_null("a message");
    return guarded([&] {
        auto& gathered = consumer->messages;
        gathered.reserve(count);
        for (size_t index = 0; index < count; ++index) {
            auto& held = messages[index]->held;
            if (held) gathered.push_back(std::move(*held));
            held.reset();
        }
        const size_t done = consumer->consumer.ack(gathered);
        gathered.clear();
        if (acked != nullptr) *acked = done;
        return SHMQ_OK;
    });
}

shmq_code shmq_consumer_ack_through(shmq_consumer* consumer, shmq_message* last,
                                    size_t* acked) noexcept {
    if (consumer == nullptr) return fail_null("the consumer");
    if (last == nullptr) return fail_null("the message");
    if (!last->held) return fail(shmq::Condition::stale);
    const auto done = consumer->consumer.ack_through(*last->held);
    if (!done) return fail(done.error());
    last->held.reset();
    if (acked != nullptr) *acked = *done;
    return SHMQ_OK;
}

void shmq_consumer_handling(shmq_consumer* consumer, const shmq_message* message) noexcept {
    if (consumer != nullptr && message != nullptr && message->held)
        consumer->consumer.handling(*message->held);
}

size_t shmq_consumer_in_flight(const shmq_consumer* consumer) noexcept {
    return consumer != nullptr ? consumer->consumer.in_flight() : 0;
}

size_t shmq_consumer_in_flight_limit(const shmq_consumer* consumer) noexcept {
    return consumer != nullptr ? consumer->consumer.in_flight_limit() : 0;
}

int shmq_consumer_more_to_come(const shmq_consumer* consumer) noexcept {
    return consumer != nullptr && consumer->consumer.more_to_come();
}

void shmq_consumer_stop_waiting(shmq_consumer* consumer) noexcept {
    if (consumer != nullptr) consumer->consumer.stop_waiting();
}

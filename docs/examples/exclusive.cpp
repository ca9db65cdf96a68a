// Exclusive roles: one producer, one consumer; faster, in order, and one ack for many messages.
#include <shmq/client.hpp>

#include <optional>
#include <string>
#include <vector>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.exclusive_producer = true;
    options.exclusive_consumer = true;
    shmq::value_or_throw(client.declare("example/exclusive", options));
    auto producer = shmq::value_or_throw(client.producer("example/exclusive"));
    std::optional<shmq::Consumer> consumer =
        shmq::value_or_throw(client.consumer("example/exclusive"));
    expect(client.consumer("example/exclusive").condition() == shmq::Condition::role_taken,
           "a second consumer is refused");

    for (int number = 0; number < 10; ++number)
        shmq::value_or_throw(producer.send(std::to_string(number)));
    std::vector<shmq::Message> messages;
    expect(shmq::value_or_throw(consumer->receive_batch(messages, 10)) == 10, "ten messages came");

    // Cumulative: this message and every one received before it.
    expect(shmq::value_or_throw(consumer->ack_through(messages[6])) == 7,
           "seven acked by one call");

    // The role passes on when its holder has detached or died; what it had not acked comes again.
    // A holder that is merely stopped keeps the role.
    messages.clear();
    consumer.reset();
    auto successor = shmq::value_or_throw(client.consumer("example/exclusive"));
    for (const char* expected : {"7", "8", "9"}) {
        auto message = shmq::value_or_throw(successor.receive());
        expect(message.text() == expected && message.redelivered(), "the successor goes on");
        shmq::value_or_throw(message.ack());
    }

    shmq::value_or_throw(client.remove("example/exclusive", true));
}

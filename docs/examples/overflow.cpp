// A full queue: refuse the new message, or drop the oldest. (The default is to wait:
// deadlines.cpp.)
#include <shmq/client.hpp>

#include <string>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.capacity = 64;

    // reject: every send answers at once; the sender decides what to do with its message.
    options.overflow = shmq::Overflow::reject;
    shmq::value_or_throw(client.declare("example/reject", options));
    {
        auto producer = shmq::value_or_throw(client.producer("example/reject"));
        for (int number = 0; number < 64; ++number)
            shmq::value_or_throw(producer.send("fits"));
        expect(producer.send("too many").condition() == shmq::Condition::full, "the 65th: full");
    }

    // drop_oldest: every send succeeds; for readings of which only the newest count.
    options.overflow = shmq::Overflow::drop_oldest;
    shmq::value_or_throw(client.declare("example/newest", options));
    {
        auto producer = shmq::value_or_throw(client.producer("example/newest"));
        auto consumer = shmq::value_or_throw(client.consumer("example/newest"));
        for (int number = 0; number < 100; ++number)
            shmq::value_or_throw(producer.send(std::to_string(number)));
        auto message = shmq::value_or_throw(consumer.receive());
        expect(message.text() == "36", "the oldest that is left is number 36");
        shmq::value_or_throw(message.ack());
        // Nothing is dropped silently.
        const auto info = shmq::value_or_throw(client.describe("example/newest"));
        expect(info.dropped_oldest == 36, "36 are counted as dropped");
    }

    shmq::value_or_throw(client.remove("example/reject", true));
    shmq::value_or_throw(client.remove("example/newest", true));
}

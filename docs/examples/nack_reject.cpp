// What a consumer can say besides ack: nack (not now), reject (never), or nothing at all.
#include <shmq/client.hpp>

#include <chrono>
#include <thread>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/nack"));
    auto producer = shmq::value_or_throw(client.producer("example/nack"));
    auto consumer = shmq::value_or_throw(client.consumer("example/nack"));
    shmq::value_or_throw(producer.send("first"));
    shmq::value_or_throw(producer.send("second"));

    // Nack: back to the queue at once, before the new ones. No failure is counted.
    auto message = shmq::value_or_throw(consumer.receive());
    shmq::value_or_throw(message.nack());
    message = shmq::value_or_throw(consumer.receive());
    expect(message.text() == "first", "the nacked message comes before new ones");
    expect(message.redelivered() && message.failures() == 0, "redelivered, but nothing failed");
    expect(message.ack().ok(), "it is ours to ack");
    expect(message.ack().condition() == shmq::Condition::stale, "a second ack is stale");

    // Dropping the handle says nack: an exception on the way loses nothing.
    { auto dropped = shmq::value_or_throw(consumer.receive()); }
    message = shmq::value_or_throw(consumer.receive());
    expect(message.text() == "second", "a dropped message comes again");

    // Reject: nobody can do anything with it. The daemon takes it out of the queue and counts it.
    shmq::value_or_throw(message.reject());
    for (int look = 0; look < 500; ++look) {
        if (shmq::value_or_throw(client.describe("example/nack")).dropped_rejected != 0) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const auto info = shmq::value_or_throw(client.describe("example/nack"));
    expect(info.dropped_rejected == 1, "the rejected message is counted");
    expect(!shmq::value_or_throw(consumer.try_receive()), "and gone");

    shmq::value_or_throw(client.remove("example/nack", true));
}

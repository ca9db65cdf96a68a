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

    // Nack with a delay: not before so long.
    const auto before = std::chrono::steady_clock::now();
    shmq::value_or_throw(message.nack(std::chrono::milliseconds(50)));
    message = shmq::value_or_throw(consumer.receive());
    expect(std::chrono::steady_clock::now() - before >= std::chrono::milliseconds(50), "not early");

    // Reject: nobody can do anything with it. The daemon moves it to the dead-letter queue.
    shmq::value_or_throw(message.reject());
    for (int look = 0; look < 500; ++look) {
        if (shmq::value_or_throw(client.describe("example/nack")).dead_lettered != 0) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    auto dead = shmq::value_or_throw(client.consumer("example/nack.dlq"));
    message = shmq::value_or_throw(dead.receive());
    expect(message.text() == "second", "nothing is lost");
    const auto history = message.history();
    expect(history && history->reason == "rejected" && history->source == "example/nack",
           "it tells why it is there, and where it was");
    shmq::value_or_throw(message.ack());

    shmq::value_or_throw(client.remove("example/nack", true));
    shmq::value_or_throw(client.remove("example/nack.dlq", true));
}

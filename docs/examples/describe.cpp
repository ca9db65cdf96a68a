// What can be known about a queue, and about the daemon.
#include <shmq/client.hpp>

#include <algorithm>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.capacity = 256;
    shmq::value_or_throw(client.declare("example/describe", options));
    auto producer = shmq::value_or_throw(client.producer("example/describe"));
    auto consumer = shmq::value_or_throw(client.consumer("example/describe"));
    for (const char* text : {"one", "two", "three", "four"})
        shmq::value_or_throw(producer.send(text));
    auto acked = shmq::value_or_throw(consumer.receive());
    shmq::value_or_throw(acked.ack());
    auto held = shmq::value_or_throw(consumer.receive());
    auto returned = shmq::value_or_throw(consumer.receive());
    shmq::value_or_throw(returned.nack());

    const auto info = shmq::value_or_throw(client.describe("example/describe"));
    expect(info.ready == 1 && info.leased == 1 && info.returned == 1, "each message in its state");
    expect(info.sent == 4 && info.delivered == 3 && info.acked == 1, "totals");
    expect(info.producers == 1 && info.consumers == 1, "who is attached");
    expect(info.options.capacity == 256 && info.options.slot_size == 64, "options as in force");

    // Asked for with other options, a queue that is there is not changed but refused.
    options.capacity = 512;
    const auto other = client.declare("example/describe", options);
    expect(other.condition() == shmq::Condition::queue_exists, "declare does not change a queue");
    std::printf("      %s\n", other.error().message().c_str());

    const auto queues = shmq::value_or_throw(client.list());
    expect(std::any_of(queues.begin(), queues.end(),
                       [](const auto& queue) { return queue.name == "example/describe"; }),
           "it is in the list");
    const auto daemon = shmq::value_or_throw(client.status());
    expect(daemon.pid != 0 && daemon.queues >= 1, "the daemon tells about itself");

    // remove is careful: this queue has messages and users.
    expect(client.remove("example/describe").condition() == shmq::Condition::queue_in_use,
           "remove without force refuses");
    shmq::value_or_throw(client.remove("example/describe", true));
    expect(producer.send("late").condition() == shmq::Condition::queue_removed,
           "its users are told");
}

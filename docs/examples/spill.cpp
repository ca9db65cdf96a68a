// Overflow to disk: a backlog larger than the queue's memory waits in its journal, and comes back
// in order by itself.
#include <shmq/client.hpp>

#include <chrono>
#include <string>
#include <thread>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.capacity = 64;
    options.overflow = shmq::Overflow::spill;
    shmq::value_or_throw(client.declare("example/spill", options));
    auto producer = shmq::value_or_throw(client.producer("example/spill"));

    // Nobody consumes. The ring is full after 64 messages; the others go on to disk.
    for (int number = 0; number < 5000; ++number)
        shmq::value_or_throw(producer.send("message " + std::to_string(number)));
    const auto behind = shmq::value_or_throw(client.describe("example/spill"));
    expect(behind.ready == 5000, "all of them wait");
    expect(behind.gate == shmq::GateState::journal, "new ones go through the journal");

    // Consumers need not know.
    auto consumer = shmq::value_or_throw(client.consumer("example/spill"));
    bool in_order = true;
    for (int number = 0; number < 5000; ++number) {
        auto message = shmq::value_or_throw(consumer.receive());
        in_order = in_order && message.text() == "message " + std::to_string(number);
        shmq::value_or_throw(message.ack());
    }
    expect(in_order, "they come in the order they were sent");
    // The daemon keeps that book, and comes a little later.
    while (consumer.more_to_come())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    expect(shmq::value_or_throw(client.describe("example/spill")).spilled == 0,
           "and nothing is left on disk");

    shmq::value_or_throw(client.remove("example/spill", true));
}

// A lease guards against consumers that hang: it runs out unless renewed.
#include <shmq/client.hpp>

#include <chrono>
#include <thread>

#include "expect.hpp"

using namespace std::chrono_literals;

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.lease = 200ms;  // the default is 30 s
    shmq::value_or_throw(client.declare("example/lease", options));
    auto producer = shmq::value_or_throw(client.producer("example/lease"));
    auto slow = shmq::value_or_throw(client.consumer("example/lease"));
    auto other = shmq::value_or_throw(client.consumer("example/lease"));
    shmq::value_or_throw(producer.send("a long job"));

    // Work that takes longer than the lease says so once at its start, or again and again.
    auto message = shmq::value_or_throw(slow.receive());
    shmq::value_or_throw(message.extend(30s));
    std::this_thread::sleep_for(800ms);
    expect(message.still_held(), "an extended lease outlives the queue's own");
    expect(!shmq::value_or_throw(other.try_receive()), "nobody else got the message");

    // Without renewal another consumer gets the message, and whoever held it is told.
    shmq::value_or_throw(message.nack());
    message = shmq::value_or_throw(slow.receive());
    auto taken_over = shmq::value_or_throw(other.receive_for(10s));
    expect(taken_over.text() == "a long job", "after the lease another consumer gets it");
    expect(taken_over.failures() == 1, "the lease that ran out counts as a failure");
    expect(!message.still_held(), "the first holder can see that it is late");
    expect(message.ack().condition() == shmq::Condition::stale, "its ack changes nothing");
    shmq::value_or_throw(taken_over.ack());

    shmq::value_or_throw(client.remove("example/lease", true));
}

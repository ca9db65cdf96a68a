// Send, receive, ack: the least that one can do.
#include <shmq/client.hpp>

#include "expect.hpp"

int main() {
    // Connects to the daemon, and starts one for this user if none runs.
    auto client = shmq::value_or_throw(shmq::Client::connect());
    // Creates the queue, or finds it: both sides may declare it, whoever comes first.
    shmq::value_or_throw(client.declare("example/hello"));

    auto producer = shmq::value_or_throw(client.producer("example/hello"));
    shmq::value_or_throw(producer.send("hello"));

    auto consumer = shmq::value_or_throw(client.consumer("example/hello"));
    auto message = shmq::value_or_throw(consumer.receive());
    expect(message.text() == "hello", "the message came");
    expect(!message.redelivered(), "nobody had it before");

    // Until the ack the message is ours on lease: if we died now, another consumer would get it.
    shmq::value_or_throw(message.ack());
    expect(!shmq::value_or_throw(consumer.try_receive()), "after the ack it is gone");

    shmq::value_or_throw(client.remove("example/hello", true));
}

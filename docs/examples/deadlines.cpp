// Waiting for ever, until a deadline, or not at all; and being woken by another thread.
#include <shmq/client.hpp>

#include <chrono>
#include <string_view>
#include <thread>

#include "expect.hpp"

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.capacity = 64;  // the least: soon full
    shmq::value_or_throw(client.declare("example/deadlines", options));
    auto producer = shmq::value_or_throw(client.producer("example/deadlines"));
    auto consumer = shmq::value_or_throw(client.consumer("example/deadlines"));

    // Nothing there is no error for try_receive: it answers at once, with an empty optional.
    expect(!shmq::value_or_throw(consumer.try_receive()), "try_receive finds nothing");
    const auto start = Clock::now();
    expect(consumer.receive_until(start + 50ms).condition() == shmq::Condition::timed_out,
           "receive_until times out");
    expect(Clock::now() >= start + 50ms, "and not before its time");

    while (producer.try_send("fill"))
        ;
    expect(producer.try_send("one more").condition() == shmq::Condition::full,
           "try_send on a full queue answers at once");
    constexpr std::string_view text = "one more";
    const auto payload = std::as_bytes(std::span(text.data(), text.size()));
    expect(producer.send_for(payload, 50ms).condition() == shmq::Condition::timed_out,
           "send_for waits for room, but not for ever");

    // One call may come from any thread: the one that ends a wait.
    while (auto message = shmq::value_or_throw(consumer.try_receive()))
        shmq::value_or_throw(message->ack());
    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        consumer.stop_waiting();
    });
    expect(consumer.receive().condition() == shmq::Condition::interrupted, "receive was ended");
    other.join();

    shmq::value_or_throw(client.remove("example/deadlines", true));
}

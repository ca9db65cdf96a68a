// A durable queue: send returns when a message is accepted; confirms tell how safe it has become.
#include <poll.h>
#include <unistd.h>
#include <shmq/client.hpp>

#include <chrono>
#include <string>

#include "expect.hpp"

int main() {
    using std::chrono::steady_clock;
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(
        client.declare("example/confirms", {.durability = shmq::Durability::durable}));
    auto producer = shmq::value_or_throw(client.producer("example/confirms"));

    // Many are written and synced at once: send first, wait once.
    std::uint64_t half = 0;
    for (int number = 0; number < 1000; ++number) {
        shmq::value_or_throw(producer.send("order " + std::to_string(number)));
        if (number == 499) half = producer.last_receipt();
    }
    shmq::value_or_throw(producer.await_confirm_until(
        half, shmq::Durability::logged, steady_clock::now() + std::chrono::seconds(30)));
    expect(producer.is_confirmed(half, shmq::Durability::logged),
           "the first 500 survive the death of every process");
    shmq::value_or_throw(producer.await_confirm(shmq::Durability::durable));
    expect(producer.is_confirmed(producer.last_receipt(), shmq::Durability::durable),
           "all of them survive the loss of power");

    // Beside other things, in a loop that polls.
    pollfd confirms{shmq::value_or_throw(producer.confirm_descriptor()), POLLIN, 0};
    shmq::value_or_throw(producer.send("one more"));
    const std::uint64_t last = producer.last_receipt();
    while (!producer.is_confirmed(last, shmq::Durability::durable)) {
        expect(::poll(&confirms, 1, 30'000) == 1, "the descriptor says that there is news");
        std::uint64_t times = 0;
        expect(::read(confirms.fd, &times, sizeof times) == sizeof times, "reading clears it");
    }

    const auto info = shmq::value_or_throw(client.describe("example/confirms"));
    expect(info.syncs < 1000, "and one sync served many");

    shmq::value_or_throw(client.remove("example/confirms", true));
}

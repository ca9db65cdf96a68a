// Threads: one handle for each. A producer or consumer serves one thread at a time; different
// handles are independent, also inside one process.
#include <shmq/client.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "expect.hpp"

int main() {
    constexpr int messages_each = 10'000;
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/threads"));
    std::atomic<int> received{0};
    std::atomic<long> sum{0};

    std::vector<std::thread> threads;
    for (int number = 0; number < 2; ++number) {
        threads.emplace_back([&client] {
            // Calls on a Client may come from any thread.
            auto producer = shmq::value_or_throw(client.producer("example/threads"));
            for (int i = 1; i <= messages_each; ++i)
                shmq::value_or_throw(producer.send(std::to_string(i)));
        });
        threads.emplace_back([&] {
            auto consumer = shmq::value_or_throw(client.consumer("example/threads"));
            while (received.load() < 2 * messages_each) {
                auto message = consumer.receive_for(std::chrono::milliseconds(20));
                if (!message) continue;  // timed out: look whether all is done
                sum += std::stol(std::string(message->text()));
                shmq::value_or_throw(message->ack());
                ++received;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    expect(received.load() == 2 * messages_each, "every message came, and came once");
    expect(sum.load() == 1L * messages_each * (messages_each + 1), "with the right contents");

    shmq::value_or_throw(client.remove("example/threads", true));
}

// One thread, many queues: a wait set tells where messages are, and takes none of them itself.
#include <shmq/client.hpp>
#include <shmq/wait_set.hpp>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "expect.hpp"

using namespace std::chrono_literals;

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    const std::vector<std::string> names = {"example/orders", "example/returns", "example/news"};
    std::vector<shmq::Consumer> consumers;
    for (const auto& name : names) {
        shmq::value_or_throw(client.declare(name));
        consumers.push_back(shmq::value_or_throw(client.consumer(name)));
    }
    auto set = shmq::value_or_throw(shmq::WaitSet::create());
    for (auto& consumer : consumers)
        shmq::value_or_throw(set.add(consumer));
    expect(set.wait_for(10ms).condition() == shmq::Condition::timed_out, "nothing anywhere");

    std::thread sender([&] {
        for (const auto& name : {names[2], names[0], names[2]}) {
            std::this_thread::sleep_for(10ms);
            auto producer = shmq::value_or_throw(client.producer(name));
            shmq::value_or_throw(producer.send("for " + name));
        }
    });
    int received = 0;
    while (received < 3) {
        for (shmq::Consumer* consumer : shmq::value_or_throw(set.wait())) {
            // Another consumer of that queue may have been faster: so try_receive, not receive.
            auto message = shmq::value_or_throw(consumer->try_receive());
            if (!message) continue;
            const auto which = static_cast<std::size_t>(consumer - consumers.data());
            expect(message->text() == "for " + names[which],
                   "a message of the queue that was told");
            shmq::value_or_throw(message->ack());
            ++received;
        }
    }
    sender.join();

    // A queue that is removed is told as well: receiving says so, and it is taken out of the set.
    shmq::value_or_throw(client.remove(names[1], true));
    const auto told = shmq::value_or_throw(set.wait());
    expect(told.size() == 1 && told[0] == &consumers[1], "the removed queue is told");
    expect(consumers[1].try_receive().condition() == shmq::Condition::queue_removed, "it says why");
    shmq::value_or_throw(set.remove(consumers[1]));

    for (const auto& name : {names[0], names[2]})
        shmq::value_or_throw(client.remove(name, true));
}

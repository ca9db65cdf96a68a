// Two consumers share the work of one queue: each message goes to one of them.
#include <shmq/client.hpp>

#include <set>
#include <string>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/work"));
    auto producer = shmq::value_or_throw(client.producer("example/work"));
    auto first = shmq::value_or_throw(client.consumer("example/work"));
    auto second = shmq::value_or_throw(client.consumer("example/work"));

    constexpr int jobs = 100;
    for (int job = 0; job < jobs; ++job)
        shmq::value_or_throw(producer.send(std::to_string(job)));

    // In real life these are two processes; here they take turns. Who asks gets the next message,
    // so a slow worker just asks less often, and nothing waits in a slow worker's own queue.
    std::set<std::string> done;
    int by_first = 0;
    for (int turn = 0; turn < jobs; ++turn) {
        const bool firsts_turn = turn % 4 != 0;  // the second one is slower
        auto message = shmq::value_or_throw((firsts_turn ? first : second).receive());
        done.emplace(message.text());
        if (firsts_turn) ++by_first;
        shmq::value_or_throw(message.ack());
    }
    expect(done.size() == jobs, "every job was done once");
    expect(by_first == 75, "the faster worker did more of them");
    expect(!shmq::value_or_throw(first.try_receive()), "nothing is left");

    shmq::value_or_throw(client.remove("example/work", true));
}

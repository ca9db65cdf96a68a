// Messages in an epoll loop, beside whatever else the program waits for (here a timer).
#include <shmq/client.hpp>
#include <shmq/wait_set.hpp>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <thread>

#include "expect.hpp"

using namespace std::chrono_literals;

namespace {

void watch(int epoll, int descriptor) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    expect(::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0, "watched");
}

// All that is there now. The look that finds nothing arms the descriptor again.
int receive_all(shmq::WaitSet& set) {
    int received = 0;
    for (;;) {
        const auto ready = shmq::value_or_throw(set.try_wait());
        if (ready.empty()) return received;
        for (shmq::Consumer* consumer : ready) {
            while (auto message = shmq::value_or_throw(consumer->try_receive())) {
                shmq::value_or_throw(message->ack());
                ++received;
            }
        }
    }
}

}  // namespace

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/loop"));
    auto consumer = shmq::value_or_throw(client.consumer("example/loop"));
    auto set = shmq::value_or_throw(shmq::WaitSet::create());
    shmq::value_or_throw(set.add(consumer));
    const int messages = shmq::value_or_throw(set.descriptor());

    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    const itimerspec every{{0, 20'000'000}, {0, 20'000'000}};
    expect(::timerfd_settime(timer, 0, &every, nullptr) == 0, "a timer");
    watch(epoll, messages);
    watch(epoll, timer);

    constexpr int wanted = 10;
    std::thread sender([&] {
        auto producer = shmq::value_or_throw(client.producer("example/loop"));
        for (int i = 0; i < wanted; ++i) {
            std::this_thread::sleep_for(10ms);
            shmq::value_or_throw(producer.send("tick"));
        }
    });
    int received = 0;
    int ticks = 0;
    while (received < wanted || ticks == 0) {
        epoll_event event{};
        if (::epoll_wait(epoll, &event, 1, 30'000) != 1) break;
        if (event.data.fd == messages) {
            received += receive_all(set);
        } else {
            std::uint64_t times = 0;
            if (::read(timer, &times, sizeof times) == sizeof times) ++ticks;
        }
    }
    sender.join();
    expect(received == wanted, "every message came through the loop");
    expect(ticks > 0, "and so did the timer");
    ::close(timer);
    ::close(epoll);
    shmq::value_or_throw(client.remove("example/loop", true));
}

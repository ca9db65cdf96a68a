// How soon does another have the messages of a consumer that was killed?
//
// A consumer holds 10,000 messages, another sleeps in receive. The first is killed by SIGKILL; the
// time runs until the other has the first of them, and until it has received and acked the last.
//   first_p50, first_p99   from the kill to the first, microseconds
//   last_p50               from the kill to the last
//   dead_p50, dead_p99     from the kill to when the kernel says so, by a pidfd in this program
//   wake_p99               what a sleeping receiver needs on this machine now: from a send to its
//                          receive, measured in the same rounds; no redelivery can be faster
#include <benchmark/benchmark.h>

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <shmq/client.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "support/need.hpp"
#include "support/process_pair.hpp"
#include "tests/support/private_daemon.hpp"

namespace shmq::bench {
namespace {

constexpr std::uint64_t held = 10'000;
constexpr const char* queue = "redelivery";
// Long enough for a receiver to have fallen asleep.
constexpr auto until_asleep = std::chrono::milliseconds(5);

struct Stage {
    std::atomic<bool> holds;
    std::atomic<Nanoseconds> first;
    std::atomic<Nanoseconds> last;
    std::atomic<Nanoseconds> woken;
};

pid_t start(const std::function<void()>& role) {
    const pid_t pid = ::fork();
    if (pid < 0) die("fork failed");
    if (pid > 0) return pid;
    role();
    std::_Exit(0);
}

Nanoseconds time_of_death(int pidfd) {
    pollfd watched{pidfd, POLLIN, 0};
    while (::poll(&watched, 1, -1) != 1) {
    }
    return monotonic_now();
}

void wait_for(const auto& done) {
    while (!done())
        std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void hold_all(const std::string& socket, Stage& stage) {
    auto client = need(Client::connect({.socket = socket}));
    auto consumer = need(client.consumer(queue));
    std::vector<Message> messages;
    while (messages.size() < held)
        need(consumer.receive_batch(messages, held - messages.size()));
    stage.holds = true;
    for (;;)
        ::pause();
}

void take_over(const std::string& socket, Stage& stage) {
    auto client = need(Client::connect({.socket = socket}));
    auto consumer = need(client.consumer(queue));
    for (std::uint64_t taken = 0; taken < held; ++taken) {
        auto message = need(consumer.receive());
        if (taken == 0) stage.first = monotonic_now();
        need_done(message.ack());
    }
    stage.last = monotonic_now();
    auto message = need(consumer.receive());
    stage.woken = monotonic_now();
    need_done(message.ack());
}

double percentile_us(std::vector<Nanoseconds> times, double share) {
    std::sort(times.begin(), times.end());
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1) + 0.5);
    return static_cast<double>(times[rank]) / 1e3;
}

void redelivery(benchmark::State& state) {
    support::PrivateDaemon daemon;
    auto client = need(Client::connect({.socket = daemon.socket()}));
    need_done(client.create(queue, {.capacity = 1u << 16, .in_flight = held}));
    auto producer = need(client.producer(queue));
    auto* stage = static_cast<Stage*>(shared_memory(sizeof(Stage)));
    std::vector<Nanoseconds> dead;
    std::vector<Nanoseconds> first;
    std::vector<Nanoseconds> last;
    std::vector<Nanoseconds> wake;
    for (auto _ : state) {
        stage->holds = false;
        stage->first = stage->last = stage->woken = 0;
        for (std::uint64_t i = 0; i < held; ++i)
            need_done(producer.send("held, and never acked"));
        const pid_t victim = start([&] { hold_all(daemon.socket(), *stage); });
        wait_for([&] { return stage->holds.load(); });
        const pid_t heir = start([&] { take_over(daemon.socket(), *stage); });
        std::this_thread::sleep_for(10 * until_asleep);
        const Fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, victim, 0))};
        const Nanoseconds killed = monotonic_now();
        ::kill(victim, SIGKILL);
        dead.push_back(time_of_death(pidfd.get()) - killed);
        wait_for([&] { return stage->last != 0; });
        std::this_thread::sleep_for(until_asleep);
        const Nanoseconds sent = monotonic_now();
        need_done(producer.send("wake up"));
        int status = 0;
        if (::waitpid(heir, &status, 0) != heir || status != 0) die("the heir failed");
        ::waitpid(victim, &status, 0);
        first.push_back(stage->first - killed);
        last.push_back(stage->last - killed);
        wake.push_back(stage->woken - sent);
        state.SetIterationTime(static_cast<double>(first.back()) / 1e9);
    }
    state.counters["dead_p50_us"] = percentile_us(dead, 0.50);
    state.counters["dead_p99_us"] = percentile_us(dead, 0.99);
    state.counters["first_p50_us"] = percentile_us(first, 0.50);
    state.counters["first_p99_us"] = percentile_us(first, 0.99);
    state.counters["last_p50_us"] = percentile_us(last, 0.50);
    state.counters["wake_p99_us"] = percentile_us(wake, 0.99);
}

BENCHMARK(redelivery)->UseManualTime()->Iterations(100)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace shmq::bench

BENCHMARK_MAIN();

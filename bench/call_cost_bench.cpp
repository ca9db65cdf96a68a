// What does one call cost, with nobody on the other side to wait for?
//
//   send, receive + ack    one process, one thread, the queue's lines in its own cache; 32 bytes of
//                          payload. What a stream costs beyond this is the passage of cache lines.
//
// The counters are those of the best burst of 512 calls: the work, without what else the machine
// did meanwhile. The time per call is the work that a core does for one message: it bounds the
// stream between two cores from above, whatever the lines cost.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <shmq/client.hpp>
#include <string>

#include "base/clock.hpp"
#include "support/need.hpp"
#include "tests/support/private_daemon.hpp"

namespace shmq::bench {
namespace {

constexpr std::size_t payload_bytes = 32;
constexpr std::uint64_t burst = 512;

void call_cost(benchmark::State& state, bool exclusive) {
    support::PrivateDaemon daemon;
    auto client = need(Client::connect({.socket = daemon.socket()}));
    need_done(client.create(
        "calls",
        {.exclusive_producer = exclusive, .exclusive_consumer = exclusive, .capacity = 1024}));
    auto producer = need(client.producer("calls"));
    auto consumer = need(client.consumer("calls"));
    std::array<std::byte, payload_bytes> payload{};
    Nanoseconds sending = no_deadline;
    Nanoseconds receiving = no_deadline;
    for (auto _ : state) {
        const Nanoseconds start = monotonic_now();
        for (std::uint64_t i = 0; i < burst; ++i)
            need_done(producer.send(payload));
        const Nanoseconds middle = monotonic_now();
        for (std::uint64_t i = 0; i < burst; ++i) {
            auto message = consumer.receive();
            if (!message) [[unlikely]]
                std::_Exit(1);
            benchmark::DoNotOptimize(*message->data());
            need_done(message->ack());
        }
        sending = std::min(sending, middle - start);
        receiving = std::min(receiving, monotonic_now() - middle);
    }
    state.counters["send_ns"] = static_cast<double>(sending) / static_cast<double>(burst);
    state.counters["receive_ack_ns"] = static_cast<double>(receiving) / static_cast<double>(burst);
}

BENCHMARK_CAPTURE(call_cost, exclusive, true)->Iterations(20'000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(call_cost, shared, false)->Iterations(20'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace shmq::bench

BENCHMARK_MAIN();

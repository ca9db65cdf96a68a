// How fast do messages pass from one process to another, beside the bare machine and a peer?
//
//   hand_over           two processes pass a flag back and forth, a cache line for each direction:
//                       the bound of latency (time: one way)
//   stream              one process fills 64-byte slots, the other empties them, nothing else: the
//                       bound of throughput
//   shmq, shared        public API, each message sent, received and acked by its own call; 32 bytes
//   shmq, exclusive     of payload fill a 64-byte slot
//   ..., in batches     the same by send_batch, receive_batch and ack of up to 64 messages a call
//   boost message_queue the same 32 bytes, send and receive (no ack, no redelivery)
//
// One iteration is one run of many messages between two fresh processes, each on a processor of its
// own. `ratio_to_stream` compares with the stream measured in the same run.
#include <benchmark/benchmark.h>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <shmq/client.hpp>
#include <string>
#include <vector>

#include "support/need.hpp"
#include "support/process_pair.hpp"
#include "tests/support/private_daemon.hpp"

namespace shmq::bench {
namespace {

constexpr std::size_t payload_bytes = 32;

support::PrivateDaemon& daemon() {
    static support::PrivateDaemon instance;
    return instance;
}

double best_stream_per_second = 0;

void report(benchmark::State& state, double messages) {
    state.SetItemsProcessed(static_cast<std::int64_t>(messages) *
                            static_cast<std::int64_t>(state.iterations()));
}

// ---- The machine -------------------------------------------------------------------------------

struct alignas(128) Flag {
    std::atomic<std::uint64_t> value;
};

void hand_over(benchmark::State& state) {
    constexpr std::uint64_t rounds = 1'000'000;
    for (auto _ : state) {
        auto* flags = static_cast<Flag*>(shared_memory(2 * sizeof(Flag)));
        const double elapsed = run_pair_ns(
            [flags](const auto& go) {
                go();
                for (std::uint64_t i = 1; i <= rounds; ++i) {
                    flags[0].value.store(i, std::memory_order_release);
                    while (flags[1].value.load(std::memory_order_acquire) != i) {
                    }
                }
            },
            [flags](const auto& go) {
                go();
                for (std::uint64_t i = 1; i <= rounds; ++i) {
                    while (flags[0].value.load(std::memory_order_acquire) != i) {
                    }
                    flags[1].value.store(i, std::memory_order_release);
                }
            });
        state.SetIterationTime(elapsed / static_cast<double>(2 * rounds) / 1e9);
    }
}

struct alignas(64) BareSlot {
    std::atomic<std::uint64_t> turn;
    std::array<std::byte, 56> bytes;
};
constexpr std::uint64_t bare_slots = 1024;

void stream(benchmark::State& state) {
    constexpr std::uint64_t messages = 10'000'000;
    for (auto _ : state) {
        auto* slots = static_cast<BareSlot*>(shared_memory(bare_slots * sizeof(BareSlot)));
        const double elapsed = run_pair_ns(
            [slots](const auto& go) {
                std::array<std::byte, payload_bytes> payload{};
                go();
                for (std::uint64_t i = 0; i < messages; ++i) {
                    BareSlot& slot = slots[i % bare_slots];
                    __builtin_prefetch(&slots[(i + 8) % bare_slots], 1, 3);
                    const std::uint64_t turn = 2 * (i / bare_slots);
                    while (slot.turn.load(std::memory_order_acquire) != turn) {
                    }
                    std::memcpy(slot.bytes.data(), payload.data(), payload.size());
                    slot.turn.store(turn + 1, std::memory_order_release);
                }
            },
            [slots](const auto& go) {
                std::array<std::byte, payload_bytes> payload{};
                go();
                for (std::uint64_t i = 0; i < messages; ++i) {
                    BareSlot& slot = slots[i % bare_slots];
                    __builtin_prefetch(&slots[(i + 8) % bare_slots], 1, 3);
                    const std::uint64_t turn = 2 * (i / bare_slots) + 1;
                    while (slot.turn.load(std::memory_order_acquire) != turn) {
                    }
                    std::memcpy(payload.data(), slot.bytes.data(), payload.size());
                    benchmark::DoNotOptimize(payload);
                    slot.turn.store(turn + 1, std::memory_order_release);
                }
            });
        state.SetIterationTime(elapsed / 1e9);
        const double per_second = static_cast<double>(messages) / elapsed * 1e9;
        if (per_second > best_stream_per_second) best_stream_per_second = per_second;
    }
    report(state, messages);
}

// ---- shmq --------------------------------------------------------------------------------------

using Payload = std::array<std::byte, payload_bytes>;
constexpr std::size_t batch_most = 64;

Payload numbered(std::uint64_t number) {
    Payload payload{};
    std::memcpy(payload.data(), &number, sizeof number);
    return payload;
}

void check_number(const Message& message, std::uint64_t expected) {
    std::uint64_t number = 0;
    std::memcpy(&number, message.data(), sizeof number);
    if (number != expected) [[unlikely]]
        die("message " + std::to_string(expected) + " is missing");
}

void send_each(Producer& producer, std::uint64_t messages) {
    for (std::uint64_t i = 0; i < messages; ++i) {
        const auto sent = producer.send(numbered(i));
        if (!sent) [[unlikely]]
            die(sent.error().message());
    }
}

void receive_each(Consumer& consumer, std::uint64_t messages) {
    for (std::uint64_t i = 0; i < messages; ++i) {
        auto message = consumer.receive();
        if (!message) [[unlikely]]
            die(message.error().message());
        check_number(*message, i);
        const auto acked = message->ack();
        if (!acked) [[unlikely]]
            die(acked.error().message());
    }
}

void send_batches(Producer& producer, std::uint64_t messages) {
    std::array<Payload, batch_most> payloads;
    std::array<std::span<const std::byte>, batch_most> batch;
    std::copy(payloads.begin(), payloads.end(), batch.begin());
    for (std::uint64_t sent = 0; sent < messages;) {
        const std::size_t size = std::min<std::uint64_t>(batch_most, messages - sent);
        for (std::size_t i = 0; i < size; ++i)
            payloads[i] = numbered(sent + i);
        sent += need(producer.send_batch(std::span(batch).first(size)));
    }
}

void receive_batches(Consumer& consumer, std::uint64_t messages) {
    std::vector<Message> batch;
    for (std::uint64_t received = 0; received < messages;) {
        need(consumer.receive_batch(batch, batch_most));
        for (const Message& message : batch)
            check_number(message, received++);
        if (consumer.ack(batch) != batch.size()) die("an ack failed");
        batch.clear();
    }
}

struct Way {
    void (*send)(Producer&, std::uint64_t messages);
    void (*receive)(Consumer&, std::uint64_t messages);
};
constexpr Way each{send_each, receive_each};
constexpr Way in_batches{send_batches, receive_batches};

void run_shmq(benchmark::State& state, const QueueOptions& options, std::uint64_t messages,
              const Way& way) {
    auto client = need(Client::connect({.socket = daemon().socket()}));
    for (auto _ : state) {
        const auto created = client.create("bench", options);
        if (!created) die(created.error().message());
        const double elapsed = run_pair_ns(
            [&](const auto& go) {
                auto own_client = need(Client::connect({.socket = daemon().socket()}));
                auto producer = need(own_client.producer("bench"));
                go();
                way.send(producer, messages);
            },
            [&](const auto& go) {
                auto own_client = need(Client::connect({.socket = daemon().socket()}));
                auto consumer = need(own_client.consumer("bench"));
                go();
                way.receive(consumer, messages);
            });
        state.SetIterationTime(elapsed / 1e9);
        state.counters["ratio_to_stream"] =
            static_cast<double>(messages) / elapsed * 1e9 / best_stream_per_second;
        const auto removed = client.remove("bench", true);
        if (!removed) die(removed.error().message());
    }
    report(state, static_cast<double>(messages));
}

void shmq_shared(benchmark::State& state, const Way& way) {
    run_shmq(state, {.capacity = 4096}, 3'000'000, way);
}

void shmq_exclusive(benchmark::State& state, const Way& way) {
    run_shmq(state, {.exclusive_producer = true, .exclusive_consumer = true, .capacity = 4096},
             5'000'000, way);
}

// ---- A peer ------------------------------------------------------------------------------------

void boost_message_queue(benchmark::State& state) {
    namespace ipc = boost::interprocess;
    constexpr std::uint64_t messages = 500'000;
    const std::string name = "shmq-bench-" + std::to_string(::getpid());
    for (auto _ : state) {
        ipc::message_queue::remove(name.c_str());
        ipc::message_queue queue(ipc::create_only, name.c_str(), 4096, payload_bytes);
        const double elapsed = run_pair_ns(
            [&queue](const auto& go) {
                std::array<std::byte, payload_bytes> payload{};
                go();
                for (std::uint64_t i = 0; i < messages; ++i) {
                    while (!queue.try_send(payload.data(), payload.size(), 0)) {
                    }
                }
            },
            [&queue](const auto& go) {
                std::array<std::byte, payload_bytes> payload{};
                go();
                for (std::uint64_t i = 0; i < messages; ++i) {
                    ipc::message_queue::size_type size = 0;
                    unsigned priority = 0;
                    while (!queue.try_receive(payload.data(), payload.size(), size, priority)) {
                    }
                }
            });
        state.SetIterationTime(elapsed / 1e9);
        state.counters["ratio_to_stream"] =
            static_cast<double>(messages) / elapsed * 1e9 / best_stream_per_second;
        ipc::message_queue::remove(name.c_str());
    }
    report(state, messages);
}

double least(const std::vector<double>& values) {
    return *std::min_element(values.begin(), values.end());
}

double most(const std::vector<double>& values) {
    return *std::max_element(values.begin(), values.end());
}

// Several rounds: of times `min` is the best, of rates `max`; the median tells what to expect.
void in_rounds(benchmark::internal::Benchmark* question) {
    question->UseManualTime()
        ->Iterations(1)
        ->Repetitions(9)
        ->DisplayAggregatesOnly()
        ->ComputeStatistics("min", least)
        ->ComputeStatistics("max", most);
}

BENCHMARK(hand_over)->Apply(in_rounds)->Unit(benchmark::kNanosecond);
BENCHMARK(stream)->Apply(in_rounds)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(shmq_exclusive, each, each)->Apply(in_rounds)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(shmq_exclusive, in_batches, in_batches)
    ->Apply(in_rounds)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(shmq_shared, each, each)->Apply(in_rounds)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(shmq_shared, in_batches, in_batches)
    ->Apply(in_rounds)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(boost_message_queue)->Apply(in_rounds)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace shmq::bench

BENCHMARK_MAIN();

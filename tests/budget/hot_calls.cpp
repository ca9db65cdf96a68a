// The hot calls, for valgrind to count (budget_test.py): hot_calls SOCKET WORK [COUNT].
//
// Each call stands in a function of its own, which callgrind switches its collecting on for; what
// is counted beyond the call is the loop around it and the look at its result.
#include <shmq/client.hpp>

#include <sched.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/stream_clock.hpp"

namespace {

using namespace shmq;

constexpr std::size_t burst = 512;
constexpr std::size_t batch_size = 64;
using Payload = std::array<std::byte, 32>;

template <typename T>
T need(Result<T> result) {
    if (result) return std::move(result).value();
    std::fprintf(stderr, "hot_calls: %s\n", result.error().message().c_str());
    std::exit(1);
}

void need_done(const Result<void>& result) {
    if (result) return;
    std::fprintf(stderr, "hot_calls: %s\n", result.error().message().c_str());
    std::exit(1);
}

// Time stamps come from the thread that tells the time, as in any stream.
void start_stream_clock() {
    while (detail::stream_time.now.load() == 0) {
        detail::tell_stream_time();
        sched_yield();
    }
}

struct Stage {
    Stage(const std::string& socket, bool exclusive)
        : client(need(Client::connect({.socket = socket}))),
          queue(make(exclusive)),
          producer(need(client.producer(queue))),
          consumer(need(client.consumer(queue))) {
        messages.reserve(burst);
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    ~Stage() {
        messages.clear();
        static_cast<void>(client.remove(queue, true));
    }

    std::string make(bool exclusive) {
        const std::string name = exclusive ? "budget.exclusive" : "budget.shared";
        need_done(client.create(
            name,
            {.exclusive_producer = exclusive, .exclusive_consumer = exclusive, .capacity = 2048}));
        return name;
    }

    Client client;
    std::string queue;
    Producer producer;
    Consumer consumer;
    std::vector<Message> messages;
};

}  // namespace

extern "C" {

[[gnu::noinline]] void counted_send(Producer& producer, const Payload& payload) {
    for (std::size_t i = 0; i < burst; ++i)
        need_done(producer.send(payload));
}

[[gnu::noinline]] void counted_receive_and_ack(Consumer& consumer) {
    for (std::size_t i = 0; i < burst; ++i) {
        auto message = consumer.receive();
        if (!message) std::exit(1);
        need_done(message->ack());
    }
}

[[gnu::noinline]] void counted_send_batch(Producer& producer,
                                          std::span<const std::span<const std::byte>> batch) {
    for (std::size_t i = 0; i < burst; i += batch_size)
        if (need(producer.send_batch(batch)) != batch_size) std::exit(1);
}

[[gnu::noinline]] void counted_receive_batch_and_ack(Consumer& consumer,
                                                     std::vector<Message>& messages) {
    for (std::size_t i = 0; i < burst; i += batch_size) {
        if (need(consumer.receive_batch(messages, batch_size)) != batch_size) std::exit(1);
        if (consumer.ack(messages) != batch_size) std::exit(1);
        messages.clear();
    }
}

[[gnu::noinline]] void counted_loan_and_send(Producer& producer) {
    for (std::size_t i = 0; i < burst; ++i) {
        auto loan = need(producer.loan(4096));
        need_done(producer.send(loan));
    }
}
}

namespace {

void run(Stage& stage, std::string_view work) {
    const Payload payload{};
    std::array<std::span<const std::byte>, batch_size> batch;
    batch.fill(payload);
    if (work == "loan_and_send") {
        counted_loan_and_send(stage.producer);
        counted_receive_and_ack(stage.consumer);
    } else if (work == "batch") {
        counted_send_batch(stage.producer, batch);
        counted_receive_batch_and_ack(stage.consumer, stage.messages);
    } else {
        counted_send(stage.producer, payload);
        counted_receive_and_ack(stage.consumer);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) {
        std::fprintf(
            stderr, "usage: hot_calls SOCKET each|batch|loan_and_send exclusive|shared [BURSTS]\n");
        return 2;
    }
    Stage stage(arguments[1], std::string_view(arguments[3]) == "exclusive");
    start_stream_clock();
    const int bursts = count > 4 ? std::atoi(arguments[4]) : 1;
    for (int i = 0; i < bursts; ++i)
        run(stage, arguments[2]);
    return 0;
}

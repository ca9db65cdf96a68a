#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include <sys/mman.h>

#include <shmq/client.hpp>

#include "cli/bench.hpp"

namespace shmq::cli::bench {
namespace {

using Clock = std::chrono::steady_clock;

// After the last producer: a message that does not come in that time does not come.
constexpr auto silence = std::chrono::seconds(5);
constexpr auto stretch = std::chrono::milliseconds(100);

std::int64_t now_ns() {
    return Clock::now().time_since_epoch().count();
}

int failed(Board& board, const char* role, const Error& error) {
    ++board.failed;
    std::fprintf(stderr, "shmq: bench: %s: %s\n", role, error.message().c_str());
    return 1;
}

void wait_for_start(Board& board) {
    ++board.attached;
    while (!board.go)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Result<Client> connect(const Plan& plan) {
    ConnectOptions options;
    options.socket = plan.socket;
    return Client::connect(options);
}

// Where a producer of an open loop stands: it sends what is due, late or not, and the message says
// when it was due.
class Pace {
  public:
    Pace(double rate, std::int64_t start) : rate_(rate), start_(start) {}

    std::int64_t due(std::uint64_t message) const {
        return start_ + static_cast<std::int64_t>(static_cast<double>(message) / rate_ * 1e9);
    }
    static void wait_until(std::int64_t due) {
        const std::int64_t left = due - now_ns();
        constexpr std::int64_t worth_a_sleep = 100'000;
        if (left > worth_a_sleep) {
            std::this_thread::sleep_for(std::chrono::nanoseconds(left - worth_a_sleep / 2));
        }
        while (now_ns() < due)
            std::this_thread::yield();
    }

  private:
    double rate_;
    std::int64_t start_;
};

Result<void> send_all(const Plan& plan, Board& board, Producer& producer, Line& line) {
    const Pace pace(plan.rate, board.started_at);
    std::vector<std::vector<std::byte>> contents(plan.batch, std::vector<std::byte>(plan.size));
    std::vector<std::span<const std::byte>> pieces(contents.begin(), contents.end());
    std::uint64_t count = 0;
    while (!board.stop_sending) {
        if (plan.rate > 0) Pace::wait_until(pace.due(count));
        for (std::size_t i = 0; i < plan.batch; ++i) {
            const std::int64_t from = plan.rate > 0 ? pace.due(count + i) : now_ns();
            std::memcpy(contents[i].data(), &from, sizeof from);
        }
        std::size_t sent = 0;
        while (sent < plan.batch && !board.stop_sending) {
            const auto deadline = Clock::now() + stretch;
            if (plan.batch == 1) {
                const auto done = producer.send_until(pieces[0], deadline);
                if (done) sent = 1;
                if (!done && done.condition() != Condition::timed_out) return done;
            } else {
                const auto done =
                    producer.send_batch_until(std::span(pieces).subspan(sent), deadline);
                if (done) sent += *done;
                if (!done && done.condition() != Condition::timed_out) return done.error();
            }
        }
        count += sent;
        line.messages.store(count, std::memory_order_relaxed);
    }
    return {};
}

Result<void> ack_all(const Plan& plan, Consumer& consumer, std::vector<Message>& messages) {
    if (plan.ack == AckMode::cumulative) {
        const auto done = consumer.ack_through(messages.back());
        return done ? Result<void>() : Result<void>(done.error());
    }
    if (plan.ack == AckMode::batch) {
        consumer.ack(messages);
        return {};
    }
    for (Message& message : messages)
        static_cast<void>(message.ack());  // stale: another has it, and counts it as redelivered
    return {};
}

void note(Line& line, const std::vector<Message>& messages) {
    const std::int64_t now = now_ns();
    for (const Message& message : messages) {
        std::int64_t from = 0;
        if (message.size() < sizeof from) continue;  // of somebody else
        std::memcpy(&from, message.data(), sizeof from);
        const std::int64_t took = std::max<std::int64_t>(now - from, 0);
        line.latencies[bucket_of(static_cast<std::uint64_t>(took))].fetch_add(
            1, std::memory_order_relaxed);
        if (message.redelivered()) line.redelivered.fetch_add(1, std::memory_order_relaxed);
    }
    line.messages.fetch_add(messages.size(), std::memory_order_relaxed);
    line.last_at.store(now, std::memory_order_relaxed);
}

std::uint64_t sum(const std::array<Line, lines_most>& lines) {
    std::uint64_t all = 0;
    for (const Line& line : lines)
        all += line.messages;
    return all;
}

Result<void> receive_all(const Plan& plan, Board& board, Consumer& consumer, Line& line) {
    std::vector<Message> messages;
    auto last_news = Clock::now();
    for (;;) {
        messages.clear();
        const auto received =
            consumer.receive_batch_until(messages, plan.batch, Clock::now() + stretch);
        if (received && *received > 0) {
            note(line, messages);
            if (auto done = ack_all(plan, consumer, messages); !done) return done;
            last_news = Clock::now();
            continue;
        }
        if (!received && received.condition() != Condition::timed_out) return received.error();
        const bool over = board.senders_left == 0;
        if (over && sum(board.received) >= sum(board.sent)) return {};
        if (!over) last_news = Clock::now();
        if (Clock::now() - last_news > silence) return {};
    }
}

}  // namespace

std::size_t bucket_of(std::uint64_t ns) {
    if (ns < 16) return static_cast<std::size_t>(ns);
    const auto width = static_cast<unsigned>(std::bit_width(ns));
    return (width - 4) * 16 + ((ns >> (width - 5)) & 15);
}

std::uint64_t bucket_end(std::size_t bucket) {
    if (bucket < 16) return bucket;
    const std::size_t width = bucket / 16 + 4;
    return ((16 + bucket % 16 + 1) << (width - 5)) - 1;
}

Board& Board::create(const Plan& plan) {
    void* memory =
        ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    auto* board = new (memory) Board{};
    board->senders_left = plan.producers;
    return *board;
}

int produce(const Plan& plan, Board& board, std::uint32_t number) {
    auto client = connect(plan);
    if (!client) return failed(board, "producer", client.error());
    auto producer = client->producer(plan.queue);
    if (!producer) return failed(board, "producer", producer.error());
    wait_for_start(board);
    const auto done = send_all(plan, board, *producer, board.sent[number]);
    --board.senders_left;
    return done ? 0 : failed(board, "producer", done.error());
}

int consume(const Plan& plan, Board& board, std::uint32_t number) {
    auto client = connect(plan);
    if (!client) return failed(board, "consumer", client.error());
    auto consumer = client->consumer(plan.queue);
    if (!consumer) return failed(board, "consumer", consumer.error());
    wait_for_start(board);
    const auto done = receive_all(plan, board, *consumer, board.received[number]);
    return done ? 0 : failed(board, "consumer", done.error());
}

double Results::per_second() const {
    const double seconds = std::chrono::duration<double>(time).count();
    return seconds > 0 ? static_cast<double>(received) / seconds : 0;
}

std::chrono::nanoseconds Results::quantile(double part) const {
    std::uint64_t all = 0;
    for (const std::uint64_t count : latencies)
        all += count;
    if (all == 0) return std::chrono::nanoseconds(0);
    const auto wanted = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(all)));
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket + 1 < latencies.size(); ++bucket) {
        seen += latencies[bucket];
        if (seen >= wanted) break;
    }
    return std::chrono::nanoseconds(static_cast<std::int64_t>(bucket_end(bucket)));
}

Results results_of(const Plan& plan, const Board& board) {
    Results results;
    results.sent = sum(board.sent);
    results.received = sum(board.received);
    std::int64_t last = board.started_at;
    for (std::uint32_t i = 0; i < plan.consumers; ++i) {
        const Line& line = board.received[i];
        results.redelivered += line.redelivered;
        last = std::max<std::int64_t>(last, line.last_at);
        for (std::size_t each = 0; each < bucket_count; ++each)
            results.latencies[each] += line.latencies[each];
    }
    results.time = std::chrono::nanoseconds(last - board.started_at);
    return results;
}

}  // namespace shmq::cli::bench

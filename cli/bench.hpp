// What the processes of `shmq bench` do, and what they measure. The board lies in memory that they
// share; each process writes its own line of it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace shmq::cli::bench {

constexpr std::size_t size_least = sizeof(std::int64_t);  // a message begins with its time
constexpr std::size_t lines_most = 64;                    // consumers, and as many producers

enum class AckMode { each, batch, cumulative };

struct Plan {
    std::string socket;
    std::string queue;
    std::uint32_t producers = 1;
    std::uint32_t consumers = 1;
    std::size_t size = 64;
    std::size_t batch = 1;
    double rate = 0;  // of one producer, messages a second; 0: closed loop
    AckMode ack = AckMode::each;
};

// Latencies to a sixteenth: the width of the number, and its next four bits.
constexpr std::size_t bucket_count = 64 * 16;
std::size_t bucket_of(std::uint64_t ns);
std::uint64_t bucket_end(std::size_t bucket);

struct alignas(64) Line {
    std::atomic<std::uint64_t> messages;
    std::atomic<std::uint64_t> redelivered;
    std::atomic<std::int64_t> last_at;  // of its last message, on the steady clock
    std::array<std::atomic<std::uint64_t>, bucket_count> latencies;  // of consumers
};

struct Board {
    std::atomic<std::uint32_t> attached;
    std::atomic<std::uint32_t> senders_left;
    std::atomic<std::uint32_t> failed;
    std::atomic<bool> go;
    std::atomic<bool> stop_sending;
    std::atomic<std::int64_t> started_at;
    std::array<Line, lines_most> sent;
    std::array<Line, lines_most> received;

    // In memory shared with children, for good. Throws std::bad_alloc.
    static Board& create(const Plan& plan);
};

// Each returns the exit status of its process.
int produce(const Plan& plan, Board& board, std::uint32_t number);
int consume(const Plan& plan, Board& board, std::uint32_t number);

struct Results {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t redelivered = 0;
    std::chrono::nanoseconds time{0};  // from the start to the last message received
    std::array<std::uint64_t, bucket_count> latencies{};

    double per_second() const;
    std::chrono::nanoseconds quantile(double part) const;
};
Results results_of(const Plan& plan, const Board& board);

}  // namespace shmq::cli::bench

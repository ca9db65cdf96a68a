// What the processes of the demo leave behind for the books: a board of counters and one ledger of
// receipts for each consumer. Both live in memory that the parent made, so a killed consumer's
// entries survive it.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace demo {

constexpr std::uint32_t consumers_max = 8;

// Counts of times in queue: sixteen steps for each power of two, so 6 % exact.
class Histogram {
  public:
    void add(std::uint64_t nanoseconds) { ++counts_[step_of(nanoseconds)]; }
    void add(const Histogram& other) {
        for (std::size_t step = 0; step < counts_.size(); ++step)
            counts_[step] += other.counts_[step];
    }
    // The time that `share` of all did not exceed.
    std::uint64_t quantile(double share) const;

  private:
    static constexpr unsigned steps_log2 = 4;
    static std::size_t step_of(std::uint64_t value) {
        const unsigned width = static_cast<unsigned>(std::bit_width(value));
        if (width <= steps_log2) return value;
        const unsigned shift = width - steps_log2 - 1;
        return (std::size_t{shift} << steps_log2) + (value >> shift);
    }
    std::array<std::uint64_t, std::size_t{64} << steps_log2> counts_{};
};

// One process writes each field, the parent reads. Zero bytes are its beginning.
struct Board {
    std::atomic<std::uint32_t> ready;      // children that are attached and wait for `go`
    std::atomic<std::uint32_t> go;         // 1: start
    std::atomic<std::uint32_t> finish;     // 1: nothing more will come
    std::atomic<std::uint32_t> next_file;  // the producers share the files out by it
    std::atomic<std::uint64_t> bytes_read;
    std::atomic<std::uint64_t> sent;
    std::atomic<std::uint64_t> sent_bytes;
    std::atomic<std::uint64_t> killed_at;         // steady clock, ns; 0: not yet
    std::atomic<std::uint64_t> first_redelivery;  // after that; 0: none

    struct Consumer {
        std::atomic<std::uint64_t> received;
        std::atomic<std::uint64_t> in_hand;  // received and not yet acked
        std::atomic<std::uint64_t> last_ack;
        Histogram time_in_queue;
    };
    Consumer consumers[consumers_max];
};

// One received message. Sixteen bytes, so that no page boundary cuts one in two.
struct Receipt {
    std::uint32_t file;
    std::uint32_t line : 31;
    std::uint32_t redelivered : 1;
    std::uint64_t hash;
};
static_assert(sizeof(Receipt) == 16);

// An append-only file without a name.
class Ledger {
  public:
    Ledger();
    Ledger(Ledger&& other) noexcept;
    Ledger& operator=(Ledger&&) = delete;
    ~Ledger();

    // One system call: what was appended stays, whatever happens to the process next.
    bool append(std::span<const Receipt> receipts);
    std::vector<Receipt> read() const;

  private:
    int descriptor_;
};

// The board, in memory that children share with us.
Board& make_board();

}  // namespace demo

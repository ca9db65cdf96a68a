// How long every 64th message waited in the queue, and was in its consumer's hands: measured here,
// added to the histograms of the segment. Off the path of the other 63, whose cost is one branch.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.hpp"
#include "shm/layout.hpp"

namespace shmq {

class Samples {
  public:
    static bool wants(std::uint64_t sequence) noexcept {
        return (sequence & shm::sample_mask) == 0;
    }
    // REQUIRES: wants(sequence), in all three.
    [[gnu::cold]] void received(shm::SegmentHeader& header, std::uint64_t sequence,
                                std::uint64_t sent_at, Nanoseconds now) noexcept;
    [[gnu::cold]] void acked(shm::SegmentHeader& header, std::uint64_t sequence,
                             Nanoseconds now) noexcept;

  private:
    struct Receipt {
        std::uint64_t sequence = 0;
        Nanoseconds at = 0;  // 0: none
    };
    Receipt& receipt_of(std::uint64_t sequence) noexcept;
    // Of so many at a time; who holds more sampled ones loses samples, no more.
    std::array<Receipt, 8> receipts_;
};

}  // namespace shmq

#include "client/samples.hpp"

#include "shm/histogram.hpp"

namespace shmq {

// Time stamps are of the last tick, and may be of a clock a little ahead of ours.
void Samples::received(shm::SegmentHeader& header, std::uint64_t sequence, std::uint64_t sent_at,
                       Nanoseconds now) noexcept {
    const auto time = now - static_cast<Nanoseconds>(sent_at);
    shm::add_sample(header.time_in_queue, time > 0 ? static_cast<std::uint64_t>(time) : 0);
    receipt_of(sequence) = {sequence, now};
}

void Samples::acked(shm::SegmentHeader& header, std::uint64_t sequence, Nanoseconds now) noexcept {
    Receipt& receipt = receipt_of(sequence);
    if (receipt.sequence != sequence || receipt.at == 0) return;
    const Nanoseconds time = now - receipt.at;
    shm::add_sample(header.time_in_hand, time > 0 ? static_cast<std::uint64_t>(time) : 0);
    receipt.at = 0;
}

Samples::Receipt& Samples::receipt_of(std::uint64_t sequence) noexcept {
    return receipts_[sequence / (shm::sample_mask + 1) % receipts_.size()];
}

}  // namespace shmq

// A log-linear histogram: 64 steps to each power of two, so that every value is kept within 1.6 %.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace shmq::bench {

class Histogram {
  public:
    void add(std::uint64_t value) {
        ++counts_[index_of(value)];
        ++total_;
        most_ = std::max(most_, value);
    }
    std::uint64_t total() const { return total_; }
    std::uint64_t most() const { return most_; }

    // The least value that `share` of all values do not exceed, 0 without any.
    std::uint64_t at(double share) const {
        const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_) + 0.5);
        std::uint64_t seen = 0;
        for (std::size_t index = 0; index < counts_.size(); ++index) {
            seen += counts_[index];
            if (seen >= std::max<std::uint64_t>(wanted, 1)) return std::min(value_of(index), most_);
        }
        return most_;
    }

  private:
    static constexpr unsigned step_bits = 6;
    static constexpr std::uint64_t steps = 1u << step_bits;

    static std::size_t index_of(std::uint64_t value) {
        if (value < steps) return value;
        const auto power = static_cast<unsigned>(std::bit_width(value)) - step_bits;
        return power * steps / 2 + (value >> power);
    }
    // The middle of the values that share this place.
    static std::uint64_t value_of(std::size_t index) {
        if (index < steps) return index;
        const std::size_t power = index / (steps / 2) - 1;
        const std::uint64_t mantissa = index - power * steps / 2;
        return (mantissa << power) + (std::uint64_t{1} << power) / 2;
    }

    std::array<std::uint64_t, (64 - step_bits + 2) * steps / 2> counts_{};
    std::uint64_t total_ = 0;
    std::uint64_t most_ = 0;
};

}  // namespace shmq::bench

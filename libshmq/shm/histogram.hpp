// How the histograms of a segment are added to, and read.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "shm/layout.hpp"

namespace shmq::shm {

constexpr unsigned histogram_first_bits = 10;  // the first bucket is for what is below 1024 ns

constexpr std::size_t bucket_of(std::uint64_t ns) {
    const auto bits = static_cast<unsigned>(std::bit_width(ns));
    if (bits <= histogram_first_bits) return 0;
    return std::min<std::size_t>(bits - histogram_first_bits, Histogram::bucket_count - 1);
}

// What the bucket's values are below; the last one has no such bound.
constexpr std::uint64_t bucket_end_ns(std::size_t bucket) {
    return std::uint64_t{1} << (bucket + histogram_first_bits);
}

// By whoever measured it; others do so at the same time.
inline void add_sample(Histogram& histogram, std::uint64_t ns) {
    histogram.sum_ns.fetch_add(ns, memory_order_relaxed);
    histogram.buckets[bucket_of(ns)].fetch_add(1, memory_order_relaxed);
}

// A copy: any bytes, where a peer has scribbled.
struct HistogramCounts {
    std::uint64_t sum_ns = 0;
    std::array<std::uint64_t, Histogram::bucket_count> buckets{};
};
inline HistogramCounts counts_of(const Histogram& histogram) {
    HistogramCounts counts;
    counts.sum_ns = histogram.sum_ns.load(memory_order_relaxed);
    for (std::size_t i = 0; i < Histogram::bucket_count; ++i)
        counts.buckets[i] = histogram.buckets[i].load(memory_order_relaxed);
    return counts;
}

}  // namespace shmq::shm

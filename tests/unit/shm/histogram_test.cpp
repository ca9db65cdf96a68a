#include "shm/histogram.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace shmq::shm {
namespace {

TEST(Histogram, EachTimeIsInTheFirstBucketThatEndsBehindIt) {
    for (std::size_t bucket = 0; bucket + 1 < Histogram::bucket_count; ++bucket) {
        EXPECT_EQ(bucket_of(bucket_end_ns(bucket) - 1), bucket);
        EXPECT_EQ(bucket_of(bucket_end_ns(bucket)), bucket + 1);
    }
    EXPECT_EQ(bucket_of(0), 0U);
    EXPECT_EQ(bucket_of(UINT64_MAX), Histogram::bucket_count - 1);
}

TEST(Histogram, SamplesAreCountedAndSummedUp) {
    const auto histogram = std::make_unique<Histogram>();
    add_sample(*histogram, 10);
    add_sample(*histogram, 20);
    add_sample(*histogram, 1 << 20);
    const HistogramCounts counts = counts_of(*histogram);
    EXPECT_EQ(counts.sum_ns, 30U + (1 << 20));
    EXPECT_EQ(counts.buckets[0], 2U);
    EXPECT_EQ(counts.buckets[bucket_of(1 << 20)], 1U);
}

}  // namespace
}  // namespace shmq::shm

#include "shm/given_numbers.hpp"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "shm/ages.hpp"
#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

TEST(GivenNumbers, EndBehindTheLastThatAnybodyHad) {
    TestQueue queue;
    EXPECT_EQ(given_numbers_end(queue.segment()), 1u);
    for (std::uint16_t number = 1; number <= 3; ++number)
        EXPECT_EQ(queue.admit(Role::consumer), number);
    EXPECT_EQ(given_numbers_end(queue.segment()), 4u);
    queue.supervise().reclaim(1, Ending::detached);
    queue.supervise().reclaim(3, Ending::died);
    EXPECT_EQ(given_numbers_end(queue.segment()), 4u);
    ASSERT_EQ(list_participants(queue.segment()).size(), 1u);
    EXPECT_EQ(list_participants(queue.segment()).front().number, 2);
    EXPECT_EQ(queue.admit(Role::producer), 1);
    EXPECT_EQ(given_numbers_end(queue.segment()), 4u);
    while (queue.admit(Role::producer) != 0) {
    }
    EXPECT_EQ(given_numbers_end(queue.segment()), queue.segment().geometry().shape.participants);
}

// Else it, and all behind it, would be as if nobody had them.
TEST(GivenNumbers, AGenerationThatBeginsAnewIsNotThatOfNobody) {
    TestQueue queue;
    EXPECT_EQ(queue.admit(Role::consumer), 1);
    EXPECT_EQ(queue.admit(Role::consumer), 2);
    queue.supervise().reclaim(1, Ending::detached);
    queue.record(1).generation.store(UINT32_MAX);
    EXPECT_EQ(queue.admit(Role::consumer), 1);
    EXPECT_NE(queue.supervise().generation(1), 0u);
    EXPECT_EQ(given_numbers_end(queue.segment()), 3u);
    EXPECT_EQ(queue.totals().consumers, 2u);
}

std::uint64_t memory_of(int fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST(GivenNumbers, OfAQueueThatNobodyHasUsedNothingIsLookedAt) {
    AttachFailure failure;
    auto segment = Segment::create(with_defaults(Shape{}), {7}, failure);
    ASSERT_NE(segment, nullptr) << failure.detail;
    Supervise supervise(*segment);
    const std::uint64_t before = memory_of(segment->ring_fd());
    EXPECT_LE(before, 8192u);
    ASSERT_TRUE(segment->untouched());
    supervise.share_in_flight(64);
    EXPECT_EQ(supervise.sweep(1), 0u);
    EXPECT_TRUE(supervise.unfinished().empty());
    EXPECT_EQ(count_states(*segment).ready, 0u);
    EXPECT_EQ(count_totals(*segment).sent, 0u);
    EXPECT_TRUE(list_participants(*segment).empty());
    EXPECT_EQ(ages_of(*segment, 1).oldest_ready_ns, 0u);
    EXPECT_EQ(given_numbers_end(*segment), 1u);
    EXPECT_EQ(memory_of(segment->ring_fd()), before);
    ASSERT_TRUE(segment->create_pool(failure)) << failure.detail;
    EXPECT_FALSE(segment->untouched());
    // One participant costs its own record, not those of a thousand others.
    EXPECT_EQ(supervise.admit(Role::consumer, false, {1, 1}, 1), 1);
    supervise.share_in_flight(64);
    EXPECT_EQ(list_participants(*segment).size(), 1u);
    EXPECT_EQ(count_totals(*segment).consumers, 1u);
    EXPECT_LE(memory_of(segment->ring_fd()), before + 8192);
}

}  // namespace
}  // namespace shmq::shm

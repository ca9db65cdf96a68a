#include "client/confirm_watch.hpp"

#include <poll.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "shm/wait.hpp"

namespace shmq {
namespace {

class ConfirmWatchTest : public testing::Test {
  protected:
    void confirm(std::uint64_t durable) {
        area_.durable.store(durable);
        shm::wake(area_.confirms, 1);
    }
    // The time is a watchdog's.
    static bool tells(const ConfirmWatch& watch) {
        pollfd event{watch.descriptor(), POLLIN, 0};
        return ::poll(&event, 1, 10'000) == 1;
    }

    shm::JournalArea area_{};
};

// A confirm may be there before the thread runs at all; whoever asked for the descriptor has not
// seen it.
TEST_F(ConfirmWatchTest, WhatIsConfirmedRightAfterTheStartIsTold) {
    for (std::uint64_t time = 1; time <= 100; ++time) {
        const auto watch = ConfirmWatch::start(area_);
        ASSERT_TRUE(watch);
        confirm(time);
        ASSERT_TRUE(tells(*watch)) << time;
    }
}

TEST_F(ConfirmWatchTest, ReadingClearsItUntilThereIsMore) {
    const auto watch = ConfirmWatch::start(area_);
    ASSERT_TRUE(watch);
    confirm(1);
    ASSERT_TRUE(tells(*watch));
    std::uint64_t times = 0;
    ASSERT_EQ(::read(watch->descriptor(), &times, sizeof times), 8);
    EXPECT_EQ(::read(watch->descriptor(), &times, sizeof times), -1);
    confirm(2);
    EXPECT_TRUE(tells(*watch));
}

}  // namespace
}  // namespace shmq

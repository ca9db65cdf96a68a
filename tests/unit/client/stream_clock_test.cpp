// The clock of streams: told by a thread while many ask, by the system's clock else.
#include "client/stream_clock.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <thread>

namespace shmq {
namespace {

constexpr Nanoseconds patience = 20 * nanoseconds_per_second;

std::uint64_t told() {
    return detail::stream_time.now.load();
}

// Asks without a pause until the time is told, or patience ends; false if it went backwards.
bool stream(StreamClock& clock) {
    std::uint64_t last = clock.now();
    const Nanoseconds end = deadline_after(monotonic_now(), patience);
    while (clock.now_at_once() == 0 && monotonic_now() < end) {
        for (int i = 0; i < 4096; ++i) {
            const std::uint64_t now = clock.now();
            if (now < last) return false;
            last = now;
        }
    }
    return true;
}

TEST(StreamClock, IsTheCoarseClockWhileFewAsk) {
    StreamClock clock;
    const auto before = static_cast<std::uint64_t>(monotonic_coarse_now());
    const std::uint64_t now = clock.now();
    const auto after = static_cast<std::uint64_t>(monotonic_coarse_now());
    EXPECT_LE(before, now);
    EXPECT_LE(now, after);
}

TEST(StreamClock, IsToldToStreamsGoesOnAndEndsWhenNobodyAsks) {
    StreamClock clock;
    ASSERT_TRUE(stream(clock));
    ASSERT_NE(told(), 0u) << "nobody tells the time";
    EXPECT_LE(clock.now(), static_cast<std::uint64_t>(monotonic_now()));
    const std::uint64_t first = clock.now();
    const Nanoseconds end = deadline_after(monotonic_now(), patience);
    while (clock.now() == first && monotonic_now() < end) {
    }
    EXPECT_GT(clock.now(), first) << "the time stands still";
    while (told() != 0 && monotonic_now() < end)
        std::this_thread::yield();
    EXPECT_EQ(told(), 0u) << "the time is told for ever";
    EXPECT_GE(clock.now(), first);
}

TEST(StreamClock, StartsAnewInAChildOfFork) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "a child forked beside other threads may start none in this sanitizer";
#endif
    StreamClock clock;
    ASSERT_TRUE(stream(clock));
    const pid_t child = ::fork();
    if (child == 0) {
        const bool forgotten = told() == 0;
        StreamClock own;
        const bool monotone = stream(own);
        ::_exit(forgotten && monotone && told() != 0 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace shmq

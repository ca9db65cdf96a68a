// What both loops promise, tried on each.
#include "daemon/io/io.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "daemon/timers.hpp"

namespace shmq::daemon {
namespace {

class Loop : public testing::TestWithParam<IoChoice> {
  protected:
    Loop() : io_(Io::create(GetParam(), refusal_)) {}
    static Fd event(unsigned count = 0) { return Fd(::eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK)); }
    static void ring(const Fd& event) { ASSERT_EQ(::eventfd_write(event.get(), 1), 0); }
    void look() { io_->round(0); }

    std::string refusal_;
    std::unique_ptr<Io> io_;
};
INSTANTIATE_TEST_SUITE_P(Loops, Loop, testing::Values(IoChoice::uring, IoChoice::epoll),
                         [](const auto& loop) {
                             return loop.param == IoChoice::uring ? "uring" : "epoll";
                         });

TEST_P(Loop, says_which_it_is) {
    ASSERT_NE(io_, nullptr) << refusal_;
    EXPECT_STREQ(io_->name(), GetParam() == IoChoice::uring ? "io_uring" : "epoll");
}

TEST_P(Loop, runs_a_handler_once_an_edge) {
    const Fd fd = event();
    Source source;
    int runs = 0;
    io_->watch(source, fd.get(), POLLIN, Priority::request, [&](unsigned events) {
        EXPECT_NE(events & POLLIN, 0u);
        ++runs;
        return Progress::drained;
    });
    look();
    EXPECT_EQ(runs, 0);
    ring(fd);
    io_->round(no_deadline);
    EXPECT_EQ(runs, 1);
    look();
    EXPECT_EQ(runs, 1) << "still readable, but no new edge";
    ring(fd);
    io_->round(no_deadline);
    EXPECT_EQ(runs, 2) << "an edge without a read";
    io_->forget(source);
    ring(fd);
    look();
    EXPECT_EQ(runs, 2);
}

TEST_P(Loop, what_is_ready_before_it_is_watched_counts) {
    const Fd fd = event(1);
    Source source;
    int runs = 0;
    io_->watch(source, fd.get(), POLLIN, Priority::request, [&](unsigned) {
        ++runs;
        return Progress::drained;
    });
    io_->round(no_deadline);
    EXPECT_EQ(runs, 1);
}

TEST_P(Loop, more_is_run_again_without_a_wait) {
    const Fd fd = event(1);
    Source source;
    int runs = 0;
    io_->watch(source, fd.get(), POLLIN, Priority::request,
               [&](unsigned) { return ++runs < 3 ? Progress::more : Progress::drained; });
    for (int round = 1; round <= 3; ++round) {
        io_->round(no_deadline);
        EXPECT_EQ(runs, round) << "once a round";
    }
    look();
    EXPECT_EQ(runs, 3);
}

TEST_P(Loop, deaths_run_first) {
    const Fd fds[3] = {event(1), event(1), event(1)};
    const Priority priorities[3] = {Priority::request, Priority::signal, Priority::death};
    Source sources[3];
    std::vector<Priority> order;
    for (int i = 0; i < 3; ++i) {
        io_->watch(sources[i], fds[i].get(), POLLIN, priorities[i],
                   [&order, priorities, i](unsigned) {
                       order.push_back(priorities[i]);
                       return Progress::drained;
                   });
    }
    while (order.size() < 3)
        io_->round(no_deadline);
    EXPECT_EQ(order, (std::vector{Priority::death, Priority::signal, Priority::request}));
}

TEST_P(Loop, a_handler_may_forget_itself_and_others) {
    const Fd first = event(1);
    const Fd second = event(1);
    auto one = std::make_unique<Source>();
    auto two = std::make_unique<Source>();
    int runs = 0;
    const auto handler = [&](unsigned) {
        ++runs;
        one.reset();
        two.reset();
        return Progress::more;
    };
    io_->watch(*one, first.get(), POLLIN, Priority::request, handler);
    io_->watch(*two, second.get(), POLLIN, Priority::request, handler);
    io_->round(no_deadline);
    look();
    EXPECT_EQ(runs, 1) << "the other was ready, too, and must not run";
    EXPECT_EQ(io_->watched_count(), 0u);
}

TEST_P(Loop, a_handler_may_change_its_events) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const Fd reader(ends[0]);
    const Fd writer(ends[1]);
    Source source;
    std::vector<unsigned> seen;
    io_->watch(source, writer.get(), POLLOUT, Priority::request, [&](unsigned events) {
        seen.push_back(events);
        io_->change(source, 0);
        return Progress::drained;
    });
    io_->round(no_deadline);
    look();
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0] & POLLOUT, unsigned{POLLOUT});
    io_->change(source, POLLOUT);
    io_->round(no_deadline);
    EXPECT_EQ(seen.size(), 2u) << "a change reports what is ready now";
}

TEST_P(Loop, hang_up_is_always_told) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    Source source;
    unsigned seen = 0;
    io_->watch(source, reader.get(), POLLIN, Priority::request, [&](unsigned events) {
        seen |= events;
        return Progress::drained;
    });
    look();
    EXPECT_EQ(seen, 0u);
    writer.reset();
    io_->round(no_deadline);
    EXPECT_NE(seen & POLLHUP, 0u);
}

TEST_P(Loop, a_deadline_ends_a_wait) {
    const Fd fd = event();
    Source source;
    io_->watch(source, fd.get(), POLLIN, Priority::request, [](unsigned) {
        ADD_FAILURE() << "nothing was ready";
        return Progress::drained;
    });
    io_->round(deadline_after(monotonic_now(), nanoseconds_per_millisecond));
    io_->round(1);  // long past
}

TEST_P(Loop, a_forgotten_descriptor_is_let_go) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    Source source;
    io_->watch(source, writer.get(), 0, Priority::request,
               [](unsigned) { return Progress::drained; });
    look();
    io_->forget(source);
    writer.reset();
    look();
    char byte = 0;
    EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "end of file: no loop holds the writer";
}

// More than fit the submission queue, and than completions are taken in one go.
TEST_P(Loop, thousands_are_watched) {
    constexpr int count = 6000;
    std::vector<Fd> fds;
    std::vector<Source> sources(count);
    int runs = 0;
    for (int i = 0; i < count; ++i) {
        fds.push_back(event(1));
        if (!fds.back()) GTEST_SKIP() << "ulimit -n is too low for this";
        io_->watch(sources[static_cast<std::size_t>(i)], fds.back().get(), POLLIN,
                   Priority::request, [&](unsigned) {
                       ++runs;
                       return Progress::drained;
                   });
    }
    for (int round = 0; round < count && runs < count; ++round)
        io_->round(no_deadline);
    EXPECT_EQ(runs, count);
}

TEST(TimersTest, run_what_is_due_in_order_and_once) {
    Timers timers;
    Timer timer[4];
    std::vector<int> ran;
    EXPECT_EQ(timers.next(), no_deadline);
    for (const int i : {2, 0, 1, 3}) {
        timers.arm(timer[i], 10 * (i + 1), [&ran, i] { ran.push_back(i); });
    }
    EXPECT_EQ(timers.next(), 10);
    timers.run_due(9);
    EXPECT_TRUE(ran.empty());
    timers.disarm(timer[1]);
    timers.run_due(30);
    EXPECT_EQ(ran, (std::vector{0, 2}));
    EXPECT_EQ(timers.next(), 40);
    EXPECT_TRUE(timer[3].armed());
    EXPECT_FALSE(timer[0].armed());
    timers.arm(timer[3], no_deadline, [] {});
    EXPECT_EQ(timers.next(), no_deadline);
}

TEST(TimersTest, an_action_may_arm_itself_for_the_past_and_destroy_others) {
    Timers timers;
    Timer again;
    auto other = std::make_unique<Timer>();
    int runs = 0;
    const std::function<void()> action = [&] {
        ++runs;
        other.reset();
        timers.arm(again, 1, [&] { ++runs; });
    };
    timers.arm(again, 5, action);
    timers.arm(*other, 6, [] { ADD_FAILURE() << "destroyed before its turn"; });
    timers.run_due(10);
    EXPECT_LE(runs, 2);
    timers.run_due(10);
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(timers.armed_count(), 0u);
}

}  // namespace
}  // namespace shmq::daemon

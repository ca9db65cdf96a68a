// The eventcount: who is registered, who was struck off, and that nobody is who still sleeps.
#include "shm/wait.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace shmq::shm {
namespace {

std::uint32_t registered(const WaitPoint& point) {
    return static_cast<std::uint32_t>(point.waiters.load());
}

// Sleeps once, from its registration on; `leaves`: whether it says so afterwards.
class Sleeper {
  public:
    explicit Sleeper(WaitPoint& point, bool leaves = true)
        : thread_([this, &point, leaves] {
              const WaitTicket ticket = register_waiter(point, false);
              registered_ = true;
              while (wait(point, ticket, no_deadline) == WaitEnd::interrupted) {
              }
              woken_ = true;
              if (leaves) leave_waiters(point, ticket);
          }) {
        while (!registered_)
            std::this_thread::yield();
    }
    ~Sleeper() { thread_.join(); }
    bool woken() const { return woken_; }

  private:
    std::atomic<bool> registered_{false};
    std::atomic<bool> woken_{false};
    std::thread thread_;
};

TEST(Wait, WhoLeavesIsNotRegisteredAnyMore) {
    WaitPoint point{};
    const WaitTicket ticket = register_waiter(point, false);
    EXPECT_TRUE(anybody_waits(point));
    leave_waiters(point, ticket);
    EXPECT_FALSE(anybody_waits(point));
}

TEST(Wait, WhoWasWokenIsStruckOffBeforeItRuns) {
    WaitPoint point{};
    register_waiter(point, false);  // as a process that is stopped, or has not run yet
    EXPECT_TRUE(wake(point, 1));
    EXPECT_FALSE(wake(point, 1)) << "it was woken twice";
    Sleeper sleeper(point, false);
    while (!sleeper.woken())
        wake(point, 1);
    EXPECT_EQ(registered(point), 0u);
}

TEST(Wait, TheDeadCostOneCallTogether) {
    WaitPoint point{};
    for (int dead = 0; dead < 3; ++dead)
        register_waiter(point, false);
    EXPECT_TRUE(wake(point, 1));
    EXPECT_FALSE(anybody_waits(point));
}

TEST(Wait, WhoWasStruckOffTakesNobodyElseAlong) {
    WaitPoint point{};
    const WaitTicket woken = register_waiter(point, false);
    wake(point, 1);
    const WaitTicket next = register_waiter(point, false);
    leave_waiters(point, woken);
    EXPECT_TRUE(anybody_waits(point)) << "a registration was taken for another";
    leave_waiters(point, next);
    EXPECT_FALSE(anybody_waits(point));
}

TEST(Wait, EachWakeUpWakesAnother) {
    WaitPoint point{};
    std::vector<std::unique_ptr<Sleeper>> sleepers;
    for (int i = 0; i < 4; ++i)
        sleepers.push_back(std::make_unique<Sleeper>(point));
    // Some may not be asleep yet: these see the signal move, and are struck off with the others.
    for (int i = 0; i < 4; ++i)
        wake(point, 1);
    while (anybody_waits(point))
        wake(point, 1);
    sleepers.clear();  // joins: nobody sleeps on
    EXPECT_EQ(registered(point), 0u);
}

TEST(Wait, WakeAllWakesWhoNobodyCounts) {
    WaitPoint point{};
    Sleeper sleeper(point, false);
    point.waiters.store(0);  // damaged
    while (!sleeper.woken())
        wake_all(point);
    EXPECT_EQ(registered(point), 0u);
}

}  // namespace
}  // namespace shmq::shm

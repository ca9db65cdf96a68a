// A WaitSet in a program's own loop: by its descriptor, and by a sleep of the program's own.
#include "contract/wait_set_contract.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <thread>

namespace shmq {
namespace {

using std::chrono::milliseconds;

// ---- The descriptor -----------------------------------------------------------------------------

class WaitSetDescriptor : public WaitSetContract {
  protected:
    // Until it is readable; the time is a watchdog's.
    static bool tells(int descriptor, int most_ms = 20'000) {
        pollfd event{descriptor, POLLIN, 0};
        return ::poll(&event, 1, most_ms) == 1;
    }
    // As a loop does: until it is readable, then until a look finds nothing. How many were
    // received.
    std::size_t turn(int descriptor) {
        EXPECT_TRUE(tells(descriptor));
        std::size_t received = 0;
        for (auto ready = value_or_throw(set_.try_wait()); !ready.empty();
             ready = value_or_throw(set_.try_wait())) {
            for (Consumer* each : ready) {
                auto message = value_or_throw(each->try_receive());
                if (!message) continue;
                value_or_throw(message->ack());
                ++received;
            }
        }
        return received;
    }
};

TEST_F(WaitSetDescriptor, TellsOfEachMessageAndThenNoMore) {
    QueueOptions exclusive;
    exclusive.exclusive_producer = true;
    auto a = consumer("a");
    auto b = consumer("b", exclusive);
    value_or_throw(set_.add(a));
    const int descriptor = value_or_throw(set_.descriptor());
    EXPECT_EQ(turn(descriptor), 0u) << "it begins readable";
    EXPECT_FALSE(tells(descriptor, 0));
    value_or_throw(set_.add(b));
    EXPECT_EQ(turn(descriptor), 0u) << "so that the new one is looked at";
    for (int round = 0; round < 50; ++round) {
        EXPECT_FALSE(tells(descriptor, 0));
        send("a", "x");
        send("b", "x");
        if (round % 2 == 0) send("a", "x");
        std::size_t received = 0;
        while (received < (round % 2 == 0 ? 3u : 2u))
            received += turn(descriptor);
        EXPECT_EQ(received, round % 2 == 0 ? 3u : 2u);
    }
    EXPECT_EQ(value_or_throw(set_.descriptor()), descriptor);
}

TEST_F(WaitSetDescriptor, StaysReadableUntilNothingIsLeft) {
    auto a = consumer("a");
    value_or_throw(set_.add(a));
    const int descriptor = value_or_throw(set_.descriptor());
    EXPECT_EQ(turn(descriptor), 0u);
    send("a", "x");
    for (int look = 0; look < 3; ++look) {
        EXPECT_TRUE(tells(descriptor));
        EXPECT_EQ(value_or_throw(set_.try_wait()).size(), 1u);
    }
    EXPECT_EQ(turn(descriptor), 1u);
    EXPECT_FALSE(tells(descriptor, 0));
}

// What the watch was woken for, and its program leaves, goes to another sleeper.
TEST_F(WaitSetDescriptor, AProgramThatTakesItsTimeHoldsNobodyUp) {
    auto a = consumer("a");
    auto idle = value_or_throw(client_.consumer("a"));
    // One for all rounds: whoever detaches makes the supervisor wake everybody.
    auto producer = value_or_throw(client_.producer("a"));
    value_or_throw(set_.add(idle));
    value_or_throw(set_.descriptor());
    for (int round = 0; round < 20; ++round) {
        EXPECT_TRUE(value_or_throw(set_.try_wait()).empty());  // armed, and soon asleep
        std::this_thread::sleep_for(milliseconds(2));
        std::thread other([&] { value_or_throw(value_or_throw(a.receive_for(watchdog)).ack()); });
        std::this_thread::sleep_for(milliseconds(2));
        value_or_throw(producer.send("x"));
        other.join();
    }
}

// Whatever is done to the set while it is armed.
TEST_F(WaitSetDescriptor, EverythingElseMayBeCalledMeanwhile) {
    auto a = consumer("a");
    value_or_throw(set_.add(a));
    const int descriptor = value_or_throw(set_.descriptor());
    EXPECT_EQ(turn(descriptor), 0u);
    EXPECT_EQ(set_.wait_for(milliseconds(1)).condition(), Condition::timed_out);
    EXPECT_EQ(turn(descriptor), 0u);
    {
        auto b = consumer("b");
        value_or_throw(set_.add(b));
        EXPECT_EQ(turn(descriptor), 0u);
    }
    EXPECT_EQ(turn(descriptor), 0u);
    send("a", "x");
    EXPECT_TRUE(tells(descriptor));
    EXPECT_EQ(wait(), std::vector{&a});
    EXPECT_EQ(turn(descriptor), 1u);
    WaitSet moved(std::move(set_));
    send("a", "x");
    EXPECT_TRUE(tells(descriptor));
    EXPECT_EQ(value_or_throw(moved.try_wait()).size(), 1u);
    { const Consumer gone = std::move(a); }
    EXPECT_TRUE(value_or_throw(moved.try_wait()).empty());
}

TEST_F(WaitSetDescriptor, AChildOfForkLeavesItAlone) {
    auto a = consumer("a");
    value_or_throw(set_.add(a));
    const int descriptor = value_or_throw(set_.descriptor());
    EXPECT_EQ(turn(descriptor), 0u);
    const pid_t pid = ::fork();
    if (pid == 0) {
        const bool refused = set_.descriptor().condition() == Condition::forked;
        { auto taken_down = std::move(a); }
        { auto taken_down = std::move(set_); }
        std::_Exit(refused ? 0 : 1);
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    send("a", "x");
    EXPECT_EQ(turn(descriptor), 1u);
}

// ---- A sleep of the program's own --------------------------------------------------------------

class WaitSetPrepared : public WaitSetContract {
  protected:
    // As the kernel's, by the system call in place of a ring.
    static long sleep_on(const WaitSet::Sleep& sleep, milliseconds most = watchdog) {
        timespec until{};
        ::clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += most.count() / 1000;
        return ::syscall(SYS_futex_waitv, sleep.words.data(), sleep.words.size(), 0, &until,
                         CLOCK_MONOTONIC);
    }
};

TEST_F(WaitSetPrepared, TheWordsAreTheKernelsAndWakeTheSleeper) {
    auto a = consumer("a");
    auto b = consumer("b");
    value_or_throw(set_.add(a));
    value_or_throw(set_.add(b));
    for (const char* name : {"b", "a"}) {
        const auto sleep = value_or_throw(set_.prepare());
        ASSERT_EQ(sleep.words.size(), 2u);
        EXPECT_GT(sleep.at_most, milliseconds(1));
        std::thread sender([&] {
            std::this_thread::sleep_for(milliseconds(10));
            send(name, "x");
        });
        EXPECT_GE(sleep_on(sleep), 0);
        sender.join();
        const auto ready = value_or_throw(set_.try_wait());
        ASSERT_EQ(ready.size(), 1u);
        EXPECT_EQ(ready[0], *name == 'a' ? &a : &b);
        value_or_throw(value_or_throw(ready[0]->try_receive())->ack());
    }
}

TEST_F(WaitSetPrepared, NothingToSleepOnWhereSomethingIs) {
    auto a = consumer("a");
    value_or_throw(set_.add(a));
    send("a", "x");
    EXPECT_TRUE(value_or_throw(set_.prepare()).words.empty());
    value_or_throw(value_or_throw(a.try_receive())->ack());
    const auto sleep = value_or_throw(set_.prepare());
    send("a", "x");
    EXPECT_EQ(sleep_on(sleep), -1) << "the word has changed";
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(value_or_throw(set_.try_wait()).size(), 1u);
}

// Woken in its stead, and passed on by whatever ends its sleep.
TEST_F(WaitSetPrepared, WhatItWasWokenForGoesToAnother) {
    auto a = consumer("a");
    auto idle = value_or_throw(client_.consumer("a"));
    // One for all rounds: whoever detaches makes the supervisor wake everybody.
    auto producer = value_or_throw(client_.producer("a"));
    value_or_throw(set_.add(idle));
    for (int round = 0; round < 20; ++round) {
        const auto sleep = value_or_throw(set_.prepare());
        std::thread own([&] { sleep_on(sleep); });
        std::this_thread::sleep_for(milliseconds(2));
        std::thread other([&] { value_or_throw(value_or_throw(a.receive_for(watchdog)).ack()); });
        std::this_thread::sleep_for(milliseconds(2));
        value_or_throw(producer.send("x"));
        own.join();
        if (round % 2 == 0) {
            static_cast<void>(value_or_throw(set_.try_wait()));
        } else {
            value_or_throw(set_.remove(idle));
            value_or_throw(set_.add(idle));
        }
        other.join();
    }
}

}  // namespace
}  // namespace shmq

// What a WaitSet promises, with a daemon and with other processes.
#include "contract/wait_set_contract.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace shmq {
namespace {

using std::chrono::milliseconds;

TEST_F(WaitSetContract, TellsWhoHasAMessage) {
    auto a = consumer("a");
    auto b = consumer("b");
    value_or_throw(set_.add(a));
    value_or_throw(set_.add(b));
    EXPECT_TRUE(value_or_throw(set_.try_wait()).empty());
    EXPECT_EQ(set_.wait_for(milliseconds(1)).condition(), Condition::timed_out);
    send("b", "for b");
    EXPECT_EQ(wait(), std::vector{&b});
    EXPECT_EQ(b.in_flight(), 0u) << "a set takes nothing";
    EXPECT_EQ((*value_or_throw(b.try_receive())).text(), "for b");
    EXPECT_FALSE(ready_now(b) && a.in_flight() != 0);
}

TEST_F(WaitSetContract, WakesForEachKindOfProducer) {
    QueueOptions exclusive;
    exclusive.exclusive_producer = true;
    QueueOptions journal;
    journal.overflow = Overflow::spill;
    struct Case {
        std::string name;
        QueueOptions options;
    };
    const std::vector<Case> cases = {{"shared", {}}, {"exclusive", exclusive}, {"spills", journal}};
    std::vector<Consumer> consumers;
    for (const auto& each : cases)
        consumers.push_back(consumer(each.name, each.options));
    for (auto& each : consumers)
        value_or_throw(set_.add(each));
    for (std::size_t i = 0; i < cases.size(); ++i) {
        auto producer = value_or_throw(client_.producer(cases[i].name));
        std::thread sender([&] {
            std::this_thread::sleep_for(milliseconds(20));
            value_or_throw(producer.send("x"));
        });
        EXPECT_EQ(wait(), std::vector{&consumers[i]}) << cases[i].name;
        sender.join();
        value_or_throw(value_or_throw(consumers[i].try_receive())->ack());
    }
}

// The front ring is empty, the journal is not: somebody has to tell the daemon of the room.
TEST_F(WaitSetContract, WhatLiesInTheJournalComes) {
    QueueOptions options;
    options.overflow = Overflow::spill;
    options.capacity = 64;
    auto spilled = consumer("spilled", options);
    value_or_throw(set_.add(spilled));
    constexpr int count = 1000;
    for (int i = 0; i < count; ++i)
        send("spilled", std::to_string(i));
    for (int i = 0; i < count;) {
        ASSERT_EQ(wait(), std::vector{&spilled});
        while (auto message = value_or_throw(spilled.try_receive())) {
            EXPECT_EQ(message->text(), std::to_string(i++));
            value_or_throw(message->ack());
        }
    }
}

TEST_F(WaitSetContract, APausedQueueWaitsAndARemovedOneSaysSo) {
    auto paused = consumer("paused");
    auto removed = consumer("removed");
    value_or_throw(set_.add(paused));
    value_or_throw(set_.add(removed));
    send("paused", "later");
    value_or_throw(client_.pause("paused", Side::consumers));
    EXPECT_FALSE(ready_now(paused));
    std::thread manager([&] {
        std::this_thread::sleep_for(milliseconds(20));
        value_or_throw(client_.resume("paused", Side::consumers));
    });
    EXPECT_EQ(wait(), std::vector{&paused});
    manager.join();
    value_or_throw(value_or_throw(paused.try_receive())->ack());
    std::thread remover([&] {
        std::this_thread::sleep_for(milliseconds(20));
        value_or_throw(client_.remove("removed", true));
    });
    EXPECT_EQ(wait(), std::vector{&removed});
    remover.join();
    EXPECT_EQ(removed.try_receive().condition(), Condition::queue_removed);
    EXPECT_TRUE(ready_now(removed)) << "until it is taken out";
    value_or_throw(set_.remove(removed));
    EXPECT_FALSE(ready_now(removed));
}

TEST_F(WaitSetContract, WhoHoldsAllItMayIsPassedOver) {
    value_or_throw(client_.declare("q"));
    auto one = value_or_throw(client_.consumer("q", {.in_flight = 1}));
    value_or_throw(set_.add(one));
    send("q", "first");
    send("q", "second");
    auto held = *value_or_throw(one.try_receive());
    EXPECT_FALSE(ready_now(one));
    EXPECT_EQ(set_.wait_for(watchdog).condition(), Condition::in_flight_limit);
    value_or_throw(held.ack());
    EXPECT_EQ(wait(), std::vector{&one});
}

TEST_F(WaitSetContract, ConsumersMayMoveAndGo) {
    auto first = consumer("q");
    auto second = consumer("r");
    value_or_throw(set_.add(first));
    value_or_throw(set_.add(second));
    Consumer moved(std::move(first));
    send("q", "x");
    EXPECT_EQ(wait(), std::vector{&moved});
    Consumer again = consumer("s");
    again = std::move(moved);
    EXPECT_EQ(wait(), std::vector{&again});
    { const Consumer gone = std::move(again); }
    EXPECT_EQ(set_.size(), 1u);
    EXPECT_TRUE(value_or_throw(set_.try_wait()).empty());
    {
        auto other = value_or_throw(WaitSet::create());
        EXPECT_EQ(other.add(second).condition(), Condition::invalid_argument);
        EXPECT_EQ(other.remove(second).condition(), Condition::invalid_argument);
        value_or_throw(set_.remove(second));
        value_or_throw(other.add(second));
    }
    value_or_throw(set_.add(second));  // the other set is gone
    EXPECT_EQ(set_.size(), 1u);
}

TEST_F(WaitSetContract, SaysWhatItCannot) {
    EXPECT_EQ(set_.wait_for(watchdog).condition(), Condition::invalid_argument);
    EXPECT_TRUE(value_or_throw(set_.try_wait()).empty());
    std::vector<Consumer> many;
    value_or_throw(client_.declare("q"));
    for (std::size_t i = 0; i <= WaitSet::size_max; ++i)
        many.push_back(value_or_throw(client_.consumer("q")));
    for (std::size_t i = 0; i < WaitSet::size_max; ++i)
        value_or_throw(set_.add(many[i]));
    const auto refused = set_.add(many.back());
    EXPECT_EQ(refused.condition(), Condition::invalid_argument);
    EXPECT_NE(refused.error().message().find("127"), std::string::npos);
    // As many as may be do work.
    EXPECT_EQ(set_.wait_for(milliseconds(1)).condition(), Condition::timed_out);
    send("q", "x");
    EXPECT_EQ(wait().size(), WaitSet::size_max);
    WaitSet taken(std::move(set_));
    EXPECT_EQ(set_.try_wait().condition(),
              Condition::closed);  // NOLINT: what a moved-from one says
    EXPECT_EQ(taken.size(), WaitSet::size_max);
}

TEST_F(WaitSetContract, TheFirstToldChanges) {
    auto a = consumer("a");
    auto b = consumer("b");
    value_or_throw(set_.add(a));
    value_or_throw(set_.add(b));
    send("a", "x");
    send("b", "x");
    const auto first = wait();
    const auto second = wait();
    ASSERT_EQ(first.size(), 2u);
    ASSERT_EQ(second.size(), 2u);
    EXPECT_NE(first[0], second[0]);
}

TEST_F(WaitSetContract, StopWaitingEndsASleepFromAnotherThread) {
    auto q = consumer("q");
    value_or_throw(set_.add(q));
    std::thread stopper([&] {
        std::this_thread::sleep_for(milliseconds(20));
        set_.stop_waiting();
    });
    EXPECT_EQ(set_.wait().condition(), Condition::interrupted);
    stopper.join();
}

// ---- Processes ---------------------------------------------------------------------------------

// Two sets, in two processes, share a queue; one is killed in its sleep.
TEST_F(WaitSetContract, AKilledSleeperTakesNobodysMessage) {
    auto q = consumer("q");
    auto r = consumer("r");
    value_or_throw(set_.add(q));
    value_or_throw(set_.add(r));
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        auto client = value_or_throw(Client::connect({.socket = daemon_.socket()}));
        auto set = value_or_throw(WaitSet::create());
        auto own_q = value_or_throw(client.consumer("q"));
        auto own_r = value_or_throw(client.consumer("r"));
        value_or_throw(set.add(own_q));
        value_or_throw(set.add(own_r));
        if (::write(told[1], "x", 1) != 1) std::_Exit(1);
        static_cast<void>(set.wait());
        ::pause();
        std::_Exit(0);
    }
    char byte = 0;
    ASSERT_EQ(::read(told[0], &byte, 1), 1);
    std::this_thread::sleep_for(milliseconds(20));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    for (int round = 0; round < 20; ++round) {
        std::thread sender([&] { send(round % 2 == 0 ? "q" : "r", "x"); });
        Consumer& from = round % 2 == 0 ? q : r;
        EXPECT_EQ(wait(), std::vector{&from});
        sender.join();
        value_or_throw(value_or_throw(from.try_receive())->ack());
    }
}

// The set sleeps on; the queues' new supervisor serves it as the old one did.
TEST_F(WaitSetContract, TheDaemonMayDieMeanwhile) {
    auto q = consumer("q");
    auto r = consumer("r");
    value_or_throw(set_.add(q));
    value_or_throw(set_.add(r));
    auto producer = value_or_throw(client_.producer("r"));
    const auto first = value_or_throw(client_.status()).pid;
    std::thread other([&] {
        std::this_thread::sleep_for(milliseconds(20));
        ::kill(static_cast<pid_t>(first), SIGKILL);
        while (value_or_throw(client_.status()).pid == first)
            std::this_thread::sleep_for(milliseconds(1));
        value_or_throw(producer.send("x"));
    });
    EXPECT_EQ(wait(), std::vector{&r});
    other.join();
    value_or_throw(value_or_throw(r.try_receive())->ack());
}

TEST_F(WaitSetContract, AChildOfForkIsTold) {
    auto q = consumer("q");
    value_or_throw(set_.add(q));
    const pid_t pid = ::fork();
    if (pid == 0) {
        const bool refused = set_.try_wait().condition() == Condition::forked &&
                             set_.wait().condition() == Condition::forked &&
                             set_.add(q).condition() == Condition::forked &&
                             set_.remove(q).condition() == Condition::forked;
        set_.stop_waiting();
        { auto taken_down = std::move(q); }
        { auto taken_down = std::move(set_); }
        std::_Exit(refused ? 0 : 1);
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    send("q", "x");
    EXPECT_EQ(wait(), std::vector{&q});
}

}  // namespace
}  // namespace shmq

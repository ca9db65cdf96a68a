// Delays, limits of failures, blame, and what operators do by hand: one supervisor, one queue.
#include <gtest/gtest.h>

#include "shm/supervise.hpp"
#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

constexpr Nanoseconds ms = nanoseconds_per_millisecond;
constexpr Nanoseconds start = 1'000'000 * ms;

Policy policy(std::uint32_t max_deliveries, const char* dead_letter = "dead") {
    Policy policy{};
    policy.max_deliveries = max_deliveries;
    std::strcpy(policy.dead_letter, dead_letter);
    return policy;
}
Policy retrying(Nanoseconds first, Nanoseconds most) {
    Policy policy{};
    policy.retry_first_ns = static_cast<std::uint64_t>(first);
    policy.retry_max_ns = static_cast<std::uint64_t>(most);
    return policy;
}

Delivery receive(ReceiveSide& side) {
    Delivery delivery;
    EXPECT_EQ(side.try_receive(delivery, true), ReceiveStatus::received);
    return delivery;
}

// A message whose delivery was given back until that time.
Delivery send_and_delay(SendSide& producer, ReceiveSide& consumer, Nanoseconds due) {
    EXPECT_EQ(send_text(producer, "later"), SendStatus::sent);
    Delivery delivery = receive(consumer);
    EXPECT_EQ(consumer.nack(delivery, static_cast<std::uint64_t>(due)), HoldStatus::done);
    return delivery;
}

TEST(Delays, AMessageComesBackWhenItIsDueAndNotBefore) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    Delivery delivery = send_and_delay(producer, consumer, start + 50 * ms);
    EXPECT_TRUE(consumer.take_supervisor_needed());
    EXPECT_FALSE(consumer.held(delivery));
    EXPECT_EQ(queue.supervise().sweep(start), 0u);
    EXPECT_EQ(queue.counts().delayed, 1u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
    const Nanoseconds due = queue.supervise().next_due();
    EXPECT_GE(due, start + 50 * ms);
    EXPECT_LE(due, start + 50 * ms + note_grain_ns);
    EXPECT_EQ(queue.supervise().sweep(start + 50 * ms - 1), 0u) << "never early";
    EXPECT_EQ(receive_text(consumer), "");
    EXPECT_EQ(queue.supervise().sweep(due), 1u);
    delivery = receive(consumer);
    EXPECT_EQ(delivery.deliveries, 2u);
    EXPECT_EQ(delivery.failures, 0u);
    EXPECT_EQ(queue.totals().nacked, 1u);
}

TEST(Delays, OutliveTheSupervisor) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    send_and_delay(producer, consumer, start + 50 * ms);
    queue.supervise().sweep(start);
    Supervise successor(queue.segment());
    EXPECT_EQ(successor.sweep(start + 40 * ms), 0u);
    EXPECT_EQ(successor.sweep(start + 60 * ms), 1u);
    EXPECT_EQ(receive(consumer).failures, 0u);
}

TEST(Delays, TheDueOneComesFirstWhateverWasDelayedFirst) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    const int delays[] = {300, 100, 200};
    for (const int delay : delays)
        ASSERT_EQ(send_text(producer, std::to_string(delay)), SendStatus::sent);
    for (const int delay : delays) {
        Delivery delivery = receive(consumer);
        consumer.nack(delivery, static_cast<std::uint64_t>(start + delay * ms));
    }
    for (const char* next : {"100", "200", "300"}) {
        queue.supervise().sweep(start);
        queue.supervise().sweep(queue.supervise().next_due());
        EXPECT_EQ(receive_text(consumer), next);
    }
}

TEST(Delays, ARetryDelayGrowsUpToItsLargest) {
    TestQueue queue(small_shape(), retrying(10 * ms, 35 * ms));
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "again"), SendStatus::sent);
    Nanoseconds now = start;
    for (const Nanoseconds wait : {10 * ms, 20 * ms, 35 * ms, 35 * ms}) {
        Delivery delivery = receive(consumer);
        EXPECT_EQ(consumer.nack(delivery), HoldStatus::done);
        queue.supervise().sweep(now);
        EXPECT_EQ(queue.counts().delayed, 1u);
        EXPECT_EQ(queue.supervise().sweep(now + wait - 1), 0u);
        now += wait + note_grain_ns;
        EXPECT_EQ(queue.supervise().sweep(now), 1u);
    }
}

TEST(Delays, AFailureWaitsToo) {
    TestQueue queue(small_shape(), retrying(10 * ms, 10 * ms));
    SendSide producer = queue.producer();
    ReceiveSide survivor = queue.consumer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide dead = queue.consumer(number, 100);
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    receive(dead);
    queue.supervise().reclaim(number, Ending::died, start);
    EXPECT_EQ(queue.counts().delayed, 1u);
    queue.supervise().sweep(start + 20 * ms);
    EXPECT_EQ(receive(survivor).failures, 1u);
}

// ---- Failures ----------------------------------------------------------------------------------

TEST(Failures, TheOldestIsBlamedUnlessSomethingElseWasSaid) {
    for (const bool said : {false, true}) {
        TestQueue queue;
        SendSide producer = queue.producer();
        const std::uint16_t number = queue.admit(Role::consumer);
        ReceiveSide dead = queue.consumer(number, 100);
        for (int i = 0; i < 4; ++i) {
            ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
            Delivery delivery = receive(dead);
            if (i == 0) dead.ack(delivery);
            if (i == 2 && said) queue.record(number).handling.store(delivery.lease.sequence + 1);
        }
        queue.supervise().reclaim(number, Ending::died);
        ReceiveSide heir = queue.consumer();
        for (std::uint64_t i = 1; i < 4; ++i) {
            EXPECT_EQ(receive(heir).failures, i == (said ? 2u : 1u) ? 1u : 0u) << i << said;
        }
    }
}

TEST(Failures, WhatWasHandledAndEndedIsNotBlamed) {
    TestQueue queue;
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide dead = queue.consumer(number, 100);
    for (int i = 0; i < 3; ++i)
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
    const Delivery handled = receive(dead);
    receive(dead);
    receive(dead);
    queue.record(number).handling.store(handled.lease.sequence + 1);
    ASSERT_EQ(dead.ack(handled), HoldStatus::done);
    queue.supervise().reclaim(number, Ending::died);
    ReceiveSide heir = queue.consumer();
    EXPECT_EQ(receive(heir).failures, 1u) << "the oldest that it still held";
    EXPECT_EQ(receive(heir).failures, 0u);
}

TEST(Failures, AnExclusiveConsumersUnmarkedReadIsBlamedLikewise) {
    TestQueue queue(small_shape(exclusive_consumer));
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide dead = queue.consumer(number, 100);
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
        receive(dead);
    }
    EXPECT_EQ(queue.supervise().reclaim(number, Ending::died).leases, 3u);
    ReceiveSide heir = queue.consumer();
    EXPECT_EQ(receive(heir).failures, 1u);
    EXPECT_EQ(receive(heir).failures, 0u);
}

TEST(Failures, AtTheLimitAMessageIsDoomedWithItsCause) {
    TestQueue queue(small_shape(), policy(2));
    SendSide producer = queue.producer();
    ASSERT_EQ(send_text(producer, "poison"), SendStatus::sent);
    for (std::uint32_t death = 1; death <= 2; ++death) {
        const std::uint16_t number = queue.admit(Role::consumer);
        ReceiveSide dead = queue.consumer(number, 100);
        EXPECT_EQ(receive(dead).failures, death - 1);
        queue.supervise().reclaim(number, Ending::died, start + death * ms,
                                  {.reason = DeadReason::crashed, .signal = 11});
        EXPECT_EQ(queue.supervise().doomed().size(), death - 1);
    }
    const Doomed doomed = queue.supervise().doomed().begin()->second;
    EXPECT_EQ(doomed.cause.reason, DeadReason::crashed);
    EXPECT_EQ(doomed.cause.signal, 11u);
    EXPECT_EQ(doomed.failed_at, start + 2 * ms);
    EXPECT_EQ(queue.supervise().first_failure_of(doomed.sequence), start + ms);
    EXPECT_EQ(queue.supervise().sweep(start + 100 * ms), 0u) << "it waits, and wakes nobody";
    EXPECT_EQ(queue.counts().deciding, 1u);

    Supervise successor(queue.segment());
    successor.sweep(start + 200 * ms);
    ASSERT_EQ(successor.doomed().size(), 1u);
    EXPECT_EQ(successor.doomed().begin()->second.cause.reason, DeadReason::limit)
        << "a successor does not know how, but that";
    EXPECT_EQ(queue.view().attempts_of(doomed.sequence).failures, 2u) << "not counted twice";
}

TEST(Failures, WithoutADeadLetterQueueTheyAreDroppedAndCounted) {
    TestQueue queue(small_shape(), policy(1, ""));
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, std::string(1000, 'x')), SendStatus::sent);
    receive(consumer);
    queue.supervise().sweep(start);
    queue.supervise().sweep(start + 100 * ms);
    EXPECT_EQ(queue.totals().expired, 1u);
    EXPECT_EQ(queue.totals().dropped_failed, 1u);
    EXPECT_EQ(queue.counts().blocks_used, 0u);
    EXPECT_TRUE(queue.supervise().doomed().empty());
}

// ---- Leases ------------------------------------------------------------------------------------

TEST(Leases, TheNextOneThatEndsIsKnown) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    EXPECT_EQ(queue.supervise().sweep(start), 0u);
    EXPECT_EQ(queue.supervise().next_due(), no_deadline);
    for (int i = 0; i < 2; ++i)
        ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    const Delivery first = receive(consumer);
    queue.supervise().sweep(start);
    receive(consumer);
    queue.supervise().sweep(start + 30 * ms);
    EXPECT_EQ(queue.supervise().next_due(), start + 100 * ms);
    EXPECT_EQ(*queue.supervise().lease_left(0, start + 30 * ms), 70 * ms);
    EXPECT_EQ(queue.supervise().sweep(start + 100 * ms), 1u);
    EXPECT_EQ(consumer.ack(first), HoldStatus::stale);
    EXPECT_EQ(queue.supervise().next_due(), start + 130 * ms);
    EXPECT_LE(queue.supervise().sweep_interval(), 100 * ms / 8);
}

TEST(Leases, ArePausedWhileTheirHolderIsStopped) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    const Delivery delivery = receive(consumer);
    bool is_stopped = true;
    int asked = 0;
    const Supervise::Stopped stopped = [&](std::uint16_t number) {
        EXPECT_EQ(number, delivery.lease.word.owner());
        ++asked;
        return is_stopped;
    };
    Supervise& supervise = queue.supervise();
    EXPECT_EQ(supervise.sweep(start, stopped), 0u);
    EXPECT_EQ(supervise.sweep(start + 99 * ms, stopped), 0u);
    EXPECT_EQ(asked, 0) << "asked only when a lease is about to end";
    for (Nanoseconds at = 100 * ms; at < 1000 * ms; at += 50 * ms)
        EXPECT_EQ(supervise.sweep(start + at, stopped), 0u);
    is_stopped = false;
    EXPECT_EQ(supervise.sweep(start + 1000 * ms, stopped), 0u);
    EXPECT_TRUE(consumer.held(delivery));
    EXPECT_EQ(supervise.sweep(start + 1049 * ms, stopped), 0u) << "its whole lease anew";
    EXPECT_EQ(supervise.sweep(start + 1051 * ms, stopped), 1u);
}

// ---- By hand -----------------------------------------------------------------------------------

TEST(ByHand, AckNackAndReleaseMakeHandlesStale) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    Delivery held[4];
    for (Delivery& delivery : held) {
        ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
        delivery = receive(consumer);
    }
    Supervise& supervise = queue.supervise();
    const auto sequence = [&](int i) { return held[i].lease.sequence; };
    EXPECT_EQ(supervise.ack_by_hand(sequence(0)), "");
    EXPECT_NE(supervise.ack_by_hand(sequence(0)), "") << "it is gone";
    EXPECT_EQ(supervise.nack_by_hand(sequence(1), start, start), "");
    EXPECT_EQ(supervise.nack_by_hand(sequence(2), start + 50 * ms, start), "");
    EXPECT_NE(supervise.nack_by_hand(sequence(1), start, start), "") << "nobody holds it";
    EXPECT_EQ(supervise.release(held[3].lease.word.owner()), 1u);
    for (const Delivery& delivery : held)
        EXPECT_FALSE(consumer.held(delivery));
    EXPECT_EQ(queue.counts().returned, 2u);
    EXPECT_EQ(queue.counts().delayed, 1u);
    EXPECT_EQ(queue.totals().acked, 1u);
    EXPECT_EQ(supervise.discard(sequence(2), true), "");
    EXPECT_EQ(queue.counts().delayed, 0u);
    ReceiveSide other = queue.consumer();
    EXPECT_EQ(receive(other).failures, 0u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(ByHand, ExtendKeepsTheHandle) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    const Delivery delivery = receive(consumer);
    Supervise& supervise = queue.supervise();
    supervise.sweep(start);
    EXPECT_EQ(supervise.extend_by_hand(delivery.lease.sequence, start + 500 * ms, start), "");
    EXPECT_EQ(supervise.sweep(start + 400 * ms), 0u);
    EXPECT_EQ(consumer.ack(delivery), HoldStatus::done);
    EXPECT_NE(supervise.extend_by_hand(delivery.lease.sequence, start, start), "");
}

}  // namespace
}  // namespace shmq::shm

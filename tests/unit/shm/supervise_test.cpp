// The supervisor's verbs, one at a time: what they give back, to whom, and how it is counted.
#include "shm/supervise.hpp"

#include <gtest/gtest.h>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

constexpr Nanoseconds lease = 100 * nanoseconds_per_millisecond;

TEST(Supervise, NumbersAreGivenOutAndTakenBack) {
    TestQueue queue;
    std::vector<std::uint16_t> numbers;
    while (const std::uint16_t number = queue.admit(Role::producer))
        numbers.push_back(number);
    EXPECT_EQ(numbers.size(), 15u);
    EXPECT_EQ(queue.supervise().reclaim(7, Ending::detached).total(), 0u);
    const std::uint32_t generation = queue.record(7).generation.load();
    EXPECT_EQ(queue.admit(Role::consumer), 7);
    EXPECT_EQ(queue.record(7).generation.load(), generation + 1);
    EXPECT_EQ(queue.supervise().reclaim(0, Ending::died).total(), 0u);
    EXPECT_EQ(queue.supervise().reclaim(UINT16_MAX, Ending::died).total(), 0u);
}

TEST(Supervise, TheDeadGiveBackTheirLeases) {
    TestQueue queue;
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide dead = queue.consumer(number, 100);
    Delivery delivery;
    for (int i = 0; i < 5; ++i) {
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
        ASSERT_EQ(dead.try_receive(delivery), ReceiveStatus::received);
    }
    ASSERT_EQ(dead.ack(delivery), HoldStatus::done);
    EXPECT_EQ(queue.supervise().reclaim(number, Ending::died).leases, 4u);
    EXPECT_EQ(queue.supervise().reclaim(number, Ending::died).leases, 0u);
    ReceiveSide heir = queue.consumer();
    for (int i = 0; i < 4; ++i) {
        ASSERT_EQ(heir.try_receive(delivery), ReceiveStatus::received);
        EXPECT_EQ(text_of(delivery), std::to_string(i));
        EXPECT_EQ(delivery.deliveries, 2u);
        EXPECT_EQ(delivery.failures, i == 0 ? 1u : 0u) << "the one in hand is blamed, no other";
        EXPECT_EQ(heir.ack(delivery), HoldStatus::done);
    }
    EXPECT_EQ(queue.totals().reclaimed_leases, 4u);
    EXPECT_EQ(queue.totals().reclaimed_parties, 1u);
    EXPECT_EQ(queue.totals().acked, 5u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Supervise, WhoDetachesHasNotFailed) {
    TestQueue queue;
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide leaver = queue.consumer(number, 100);
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(leaver.try_receive(delivery), ReceiveStatus::received);
    queue.supervise().reclaim(number, Ending::detached);
    ReceiveSide heir = queue.consumer();
    ASSERT_EQ(heir.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(delivery.failures, 0u);
    EXPECT_EQ(delivery.deliveries, 2u);
}

TEST(Supervise, UnfinishedSendsNeverHappened) {
    TestQueue queue;
    const std::uint16_t number = queue.admit(Role::producer);
    QueueView view = queue.view();
    Cursor cursor;
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    ASSERT_EQ(view.ring.claim(cursor, number, first), ClaimStatus::claimed);
    ASSERT_EQ(view.ring.claim(cursor, number, second), ClaimStatus::claimed);
    SendSide living = queue.producer();
    ASSERT_EQ(send_text(living, "beyond"), SendStatus::sent);
    ReceiveSide consumer = queue.consumer();
    EXPECT_EQ(receive_text(consumer), "beyond");
    EXPECT_EQ(queue.counts().writing, 2u);
    EXPECT_EQ(queue.supervise().reclaim(number, Ending::died).claims, 2u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
    EXPECT_FALSE(view.ring.publish(first, number));
    EXPECT_EQ(queue.counts().ready, 0u);
}

TEST(Supervise, AHangUpGivesBackLeasesAndKeepsTheNumber) {
    TestQueue queue;
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide lost = queue.consumer(number, 100);
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(lost.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(queue.supervise().hang_up(number).leases, 1u);
    EXPECT_EQ(lost.ack(delivery), HoldStatus::stale);
    EXPECT_NE(queue.admit(Role::consumer), number);
    EXPECT_EQ(queue.counts().returned, 1u);
}

TEST(Supervise, BlocksOfTheDeadAreFreedAndMessagesKept) {
    TestQueue queue;
    const std::uint16_t number = queue.admit(Role::producer);
    SendSide dead = queue.producer(number);
    ASSERT_EQ(send_text(dead, std::string(2000, 'a')), SendStatus::sent);
    ASSERT_TRUE(dead.allocate(3000).valid());
    EXPECT_EQ(queue.supervise().reclaim(number, Ending::died).blocks, 1u);
    EXPECT_EQ(queue.counts().blocks_used, 1u);
    ReceiveSide consumer = queue.consumer();
    EXPECT_EQ(receive_text(consumer), std::string(2000, 'a'));
    EXPECT_EQ(queue.counts().blocks_used, 0u);
}

TEST(Supervise, LeasesEndAfterTheirTime) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(queue.supervise().sweep(1000), 0u);
    EXPECT_EQ(queue.supervise().sweep(1000 + lease - 1), 0u);
    EXPECT_TRUE(consumer.held(delivery));
    EXPECT_EQ(queue.supervise().sweep(1000 + lease), 1u);
    EXPECT_EQ(consumer.ack(delivery), HoldStatus::stale);
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(delivery.failures, 1u);
    EXPECT_EQ(queue.totals().expired, 1u);
}

TEST(Supervise, ExtendedLeasesLastUntilTheirDeadline) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    ASSERT_EQ(consumer.extend(delivery, static_cast<std::uint64_t>(10 * lease)), HoldStatus::done);
    for (Nanoseconds now = 1; now < 10 * lease; now += lease / 2) {
        EXPECT_EQ(queue.supervise().sweep(now), 0u);
    }
    EXPECT_EQ(queue.supervise().sweep(10 * lease + 2 * note_grain_ns), 1u);
    EXPECT_FALSE(consumer.held(delivery));
}

TEST(Supervise, RejectedMessagesAreDroppedAndCounted) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, std::string(1000, 'x')), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    ASSERT_EQ(consumer.reject(delivery), HoldStatus::done);
    EXPECT_TRUE(queue.supervise().take_work_flag());
    EXPECT_FALSE(queue.supervise().take_work_flag());
    EXPECT_EQ(queue.counts().deciding, 1u);
    EXPECT_EQ(queue.supervise().sweep(1), 1u);
    EXPECT_EQ(queue.totals().dropped_rejected, 1u);
    EXPECT_EQ(queue.counts().blocks_used, 0u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Supervise, PurgeDropsWhatNobodyHolds) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    Delivery held;
    Delivery returned;
    for (int i = 0; i < 10; ++i)
        ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    ASSERT_EQ(consumer.try_receive(held), ReceiveStatus::received);
    ASSERT_EQ(consumer.try_receive(returned), ReceiveStatus::received);
    ASSERT_EQ(consumer.nack(returned), HoldStatus::done);
    EXPECT_EQ(queue.supervise().purge(), 9u);
    EXPECT_EQ(receive_text(consumer), "");
    EXPECT_EQ(consumer.ack(held), HoldStatus::done);
    EXPECT_EQ(queue.totals().purged, 9u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Supervise, PurgeLeavesUnreadMessagesToTheExclusiveConsumer) {
    TestQueue queue(small_shape(exclusive_consumer));
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    for (int i = 0; i < 5; ++i)
        ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery read;
    ASSERT_EQ(consumer.try_receive(read), ReceiveStatus::received);
    EXPECT_EQ(queue.supervise().purge(), 0u);
    ASSERT_EQ(send_text(producer, "after"), SendStatus::sent);
    EXPECT_EQ(receive_text(consumer), "after");
    EXPECT_EQ(consumer.ack(read), HoldStatus::done);
    EXPECT_EQ(queue.totals().purged, 4u);
}

TEST(Supervise, WhatADeadExclusiveConsumerHadReadComesAgain) {
    TestQueue queue(small_shape(exclusive_producer | exclusive_consumer));
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide dead = queue.consumer(number, 100);
    Delivery delivery;
    for (int i = 0; i < 4; ++i)
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
    for (int i = 0; i < 3; ++i)
        ASSERT_EQ(dead.try_receive(delivery), ReceiveStatus::received);
    ASSERT_EQ(dead.ack(delivery), HoldStatus::done);
    EXPECT_EQ(queue.supervise().reclaim(number, Ending::died).leases, 2u);
    ReceiveSide heir = queue.consumer();
    for (const auto& [text, deliveries] :
         {std::pair{"0", 2u}, std::pair{"1", 2u}, std::pair{"3", 1u}}) {
        ASSERT_EQ(heir.try_receive(delivery), ReceiveStatus::received);
        EXPECT_EQ(text_of(delivery), text);
        EXPECT_EQ(delivery.deliveries, deliveries);
        EXPECT_EQ(heir.ack(delivery), HoldStatus::done);
    }
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Supervise, SharesOfMessagesInFlightStayWithinHalfTheRing) {
    TestQueue queue;
    queue.admit(Role::consumer);
    queue.supervise().share_in_flight(64);
    EXPECT_EQ(queue.header().in_flight_cap.load(), 32u);
    for (int i = 0; i < 4; ++i)
        queue.admit(Role::consumer);
    queue.supervise().share_in_flight(64);
    EXPECT_EQ(queue.header().in_flight_cap.load(), 6u);
    queue.supervise().share_in_flight(2);
    EXPECT_EQ(queue.header().in_flight_cap.load(), 2u);
}

TEST(Supervise, AReturnedSlotWithoutItsCellGetsOne) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    ASSERT_EQ(consumer.nack(delivery), HoldStatus::done);
    QueueView view = queue.view();
    ASSERT_TRUE(view.map.replace(0, view.map.cell(0), 0));
    EXPECT_FALSE(queue.violations().empty());
    EXPECT_EQ(queue.supervise().sweep(1), 1u);
    EXPECT_EQ(receive_text(consumer), "x");
}

// Whatever bytes a peer leaves behind, the supervisor ends and stays inside its memory.
TEST(Supervise, SurvivesAScribbledSegment) {
    std::uint64_t bytes = 0x9e3779b97f4a7c15;
    const auto next = [&] { return bytes = bytes * 6364136223846793005u + 1442695040888963407u; };
    for (int round = 0; round < 200; ++round) {
        const std::uint32_t flags = round % 2 == 0 ? 0u : std::uint32_t{exclusive_consumer};
        TestQueue queue(small_shape(flags));
        const auto& geometry = queue.segment().geometry();
        auto* start = reinterpret_cast<std::uint64_t*>(queue.segment().ring_base() +
                                                       geometry.participants_offset);
        const std::uint64_t words = (geometry.segment_bytes - geometry.participants_offset) / 8;
        for (std::uint64_t word = 0; word < words; ++word) {
            if (next() >> 62 == 0) start[word] = next() >> (next() >> 58);
        }
        for (std::uint16_t number = 1; number < 16; ++number) {
            queue.supervise().hang_up(number);
            queue.supervise().reclaim(number, Ending::died);
        }
        queue.supervise().sweep(1);
        queue.supervise().sweep(lease * 2);
        queue.supervise().purge();
        queue.violations(false);
        peek(queue.segment(), 100, 100);
        pending(queue.segment(), 100);
    }
}

}  // namespace
}  // namespace shmq::shm

// Both sides of a queue in one thread: sizes, limits, and every way to end a delivery.
#include "shm/queue.hpp"

#include <gtest/gtest.h>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

class RolesTest : public testing::TestWithParam<std::uint32_t> {
  protected:
    TestQueue queue_{small_shape(GetParam())};
    SendSide producer_ = queue_.producer();
    ReceiveSide consumer_ = queue_.consumer();
};

TEST_P(RolesTest, EverySizeArrivesByteForByte) {
    for (const std::size_t size : {0u, 1u, 31u, 32u, 33u, 1023u, 1024u, 1025u, 4095u, 4096u}) {
        std::string text(size, 'x');
        for (std::size_t i = 0; i < size; ++i)
            text[i] = static_cast<char>(i * 31);
        ASSERT_EQ(send_text(producer_, text), SendStatus::sent);
        Delivery delivery;
        ASSERT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
        EXPECT_EQ(text_of(delivery), text);
        EXPECT_EQ(delivery.deliveries, 1u);
        EXPECT_EQ(delivery.timestamp, 1u);
        EXPECT_TRUE(consumer_.held(delivery));
        EXPECT_EQ(consumer_.ack(delivery), HoldStatus::done);
        EXPECT_FALSE(consumer_.held(delivery));
    }
    EXPECT_EQ(queue_.counts().blocks_used, 0u);
    EXPECT_EQ(queue_.violations(), std::vector<std::string>{});
}

TEST_P(RolesTest, ManyLapsKeepTheirOrder) {
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(send_text(producer_, std::to_string(2 * i)), SendStatus::sent);
        ASSERT_EQ(send_text(producer_, std::to_string(2 * i + 1)), SendStatus::sent);
        ASSERT_EQ(receive_text(consumer_), std::to_string(2 * i));
        ASSERT_EQ(receive_text(consumer_), std::to_string(2 * i + 1));
    }
    EXPECT_EQ(receive_text(consumer_), "");
    EXPECT_EQ(queue_.totals().sent, 2000u);
    EXPECT_EQ(queue_.totals().acked, 2000u);
}

TEST_P(RolesTest, AFullRingTakesNoMoreUntilOneIsAcked) {
    for (int i = 0; i < 64; ++i)
        ASSERT_EQ(send_text(producer_, std::to_string(i)), SendStatus::sent);
    EXPECT_EQ(send_text(producer_, "more"), SendStatus::full);
    Delivery delivery;
    ASSERT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(send_text(producer_, "more"), SendStatus::full);
    ASSERT_EQ(consumer_.ack(delivery), HoldStatus::done);
    EXPECT_EQ(send_text(producer_, "more"), SendStatus::sent);
    EXPECT_EQ(send_text(producer_, "more"), SendStatus::full);
    for (int i = 1; i < 64; ++i)
        EXPECT_EQ(receive_text(consumer_), std::to_string(i));
    EXPECT_EQ(receive_text(consumer_), "more");
}

TEST_P(RolesTest, ANackedMessageComesAgainWithTheMark) {
    ASSERT_EQ(send_text(producer_, "again"), SendStatus::sent);
    Delivery delivery;
    for (std::uint32_t round = 1; round <= 300; ++round) {
        ASSERT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
        ASSERT_EQ(delivery.deliveries, round);
        ASSERT_EQ(delivery.failures, 0u);
        ASSERT_EQ(consumer_.nack(delivery), HoldStatus::done);
        ASSERT_EQ(consumer_.view().ring.ack(delivery.lease), HoldStatus::stale);
        ASSERT_EQ(consumer_.in_flight(), 0u);
        ASSERT_EQ(queue_.violations(), std::vector<std::string>{});
    }
    EXPECT_EQ(receive_text(consumer_), "again");
}

TEST_P(RolesTest, TheLimitOfMessagesInFlightHolds) {
    queue_.header().in_flight_cap.store(2);
    for (int i = 0; i < 3; ++i)
        ASSERT_EQ(send_text(producer_, "x"), SendStatus::sent);
    Delivery first;
    Delivery second;
    Delivery third;
    ASSERT_EQ(consumer_.try_receive(first), ReceiveStatus::received);
    ASSERT_EQ(consumer_.try_receive(second), ReceiveStatus::received);
    EXPECT_EQ(consumer_.try_receive(third), ReceiveStatus::limit);
    EXPECT_EQ(consumer_.nack(second), HoldStatus::done);
    EXPECT_EQ(consumer_.try_receive(third), ReceiveStatus::received);
}

TEST_P(RolesTest, AClosedQueueAnswersNobody) {
    ASSERT_EQ(send_text(producer_, "x"), SendStatus::sent);
    queue_.supervise().close(QueueStatus::removed);
    Delivery delivery;
    EXPECT_EQ(send_text(producer_, "y"), SendStatus::closed);
    EXPECT_EQ(consumer_.try_receive(delivery), ReceiveStatus::closed);
}

TEST_P(RolesTest, GivingEverythingBackLeavesNothingInHand) {
    for (int i = 0; i < 5; ++i)
        ASSERT_EQ(send_text(producer_, std::to_string(i)), SendStatus::sent);
    Delivery delivery;
    for (int i = 0; i < 4; ++i)
        ASSERT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
    ASSERT_EQ(consumer_.nack(delivery), HoldStatus::done);
    consumer_.give_everything_back();
    EXPECT_EQ(consumer_.in_flight(), 0u);
    EXPECT_EQ(queue_.counts().leased, 0u);
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(receive_text(consumer_), std::to_string(i));
}

std::string roles_name(const testing::TestParamInfo<std::uint32_t>& roles) {
    const bool producer = (roles.param & exclusive_producer) != 0;
    const bool consumer = (roles.param & exclusive_consumer) != 0;
    if (producer && consumer) return "exclusive_both";
    if (producer) return "exclusive_producer";
    return consumer ? "exclusive_consumer" : "shared";
}

INSTANTIATE_TEST_SUITE_P(Queue, RolesTest,
                         testing::Values(std::uint32_t{0}, std::uint32_t{exclusive_producer},
                                         std::uint32_t{exclusive_consumer},
                                         exclusive_producer | exclusive_consumer),
                         roles_name);

TEST(Queue, AHandleIsGoodOnce) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide one = queue.consumer();
    ReceiveSide other = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(one.try_receive(delivery), ReceiveStatus::received);
    Delivery copy = delivery;
    ASSERT_EQ(one.nack(delivery), HoldStatus::done);
    Delivery taken;
    ASSERT_EQ(other.try_receive(taken), ReceiveStatus::received);
    EXPECT_FALSE(one.held(copy));
    EXPECT_EQ(one.view().ring.ack(copy.lease), HoldStatus::stale);
    EXPECT_EQ(one.view().ring.give_back(copy.lease), HoldStatus::stale);
    EXPECT_EQ(one.view().ring.surrender(copy.lease), HoldStatus::stale);
    EXPECT_EQ(other.ack(taken), HoldStatus::done);
}

// Round the ring with the same number and the same tag: only the sequence tells them apart.
TEST(Queue, AHandleOfAnEarlierLapIsStale) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "old"), SendStatus::sent);
    Delivery old;
    ASSERT_EQ(consumer.try_receive(old), ReceiveStatus::received);
    ASSERT_EQ(consumer.view().ring.ack(old.lease), HoldStatus::done);
    for (int i = 1; i < 64; ++i) {
        ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
        ASSERT_EQ(receive_text(consumer), "x");
    }
    ASSERT_EQ(send_text(producer, "new"), SendStatus::sent);
    Delivery fresh;
    ASSERT_EQ(consumer.try_receive(fresh), ReceiveStatus::received);
    ASSERT_TRUE(fresh.lease.word.same_lease(old.lease.word));
    EXPECT_FALSE(consumer.held(old));
    EXPECT_EQ(consumer.view().ring.ack(old.lease), HoldStatus::stale);
    EXPECT_TRUE(consumer.held(fresh));
}

TEST(Queue, ExtendRenewsTheLease) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    Delivery before = delivery;
    ASSERT_EQ(consumer.extend(delivery, 0), HoldStatus::done);
    EXPECT_EQ(consumer.view().ring.ack(before.lease), HoldStatus::stale);
    EXPECT_EQ(consumer.ack(delivery), HoldStatus::done);
}

TEST(Queue, AHeldSlotIsPassedOverByLaterLaps) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "held"), SendStatus::sent);
    Delivery held;
    ASSERT_EQ(consumer.try_receive(held), ReceiveStatus::received);
    for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
        ASSERT_EQ(receive_text(consumer), std::to_string(i));
    }
    EXPECT_TRUE(consumer.held(held));
    EXPECT_EQ(text_of(held), "held");
    EXPECT_EQ(consumer.ack(held), HoldStatus::done);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Queue, AckThroughEndsAllUpToThatMessage) {
    TestQueue queue(small_shape(exclusive_consumer));
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    std::vector<Delivery> held(5);
    for (auto& delivery : held) {
        ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
        ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    }
    EXPECT_EQ(consumer.ack_through(held[2].lease.sequence), 3u);
    EXPECT_EQ(consumer.in_flight(), 2u);
    EXPECT_EQ(consumer.ack(held[1]), HoldStatus::stale);
    EXPECT_EQ(consumer.ack_through(held[4].lease.sequence), 2u);
    EXPECT_EQ(consumer.ack_through(held[4].lease.sequence), 0u);
    EXPECT_EQ(consumer.in_flight(), 0u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

// What was never read is never acked, whatever sequence a caller names.
TEST(Queue, AckThroughStopsAtWhatWasRead) {
    TestQueue queue(small_shape(exclusive_consumer));
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    for (const char* text : {"a", "b"})
        ASSERT_EQ(send_text(producer, text), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    for (const std::uint64_t beyond : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1000}}) {
        consumer.ack_through(delivery.lease.sequence + beyond);
    }
    EXPECT_EQ(consumer.in_flight(), 0u);
    EXPECT_EQ(receive_text(consumer), "b");
}

// An exclusive consumer's acks at once pass the front only one by one.
TEST(Queue, AcksInAnyOrderBringTheHeadOn) {
    Shape shape = small_shape(exclusive_consumer);
    shape.capacity = 256;
    TestQueue queue(shape);
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    const auto ack_in = [&](auto order) {
        std::vector<Delivery> held(200);
        for (auto& delivery : held) {
            ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
            ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
        }
        for (std::size_t i = 0; i < held.size(); ++i)
            ASSERT_EQ(consumer.ack(held[order(i)]), HoldStatus::done);
    };
    const auto& head = queue.view().header->head;
    ack_in([](std::size_t i) { return 199 - i; });
    EXPECT_GE(head.load(), 128u);
    ack_in([](std::size_t i) { return i < 100 ? 2 * i + 1 : 2 * (i - 100); });
    EXPECT_GE(head.load(), 320u);
    ack_in([](std::size_t i) { return i; });
    EXPECT_GE(head.load(), 512u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Queue, AcksNeedMoreWhereSomebodyMayWait) {
    TestQueue queue(small_shape(exclusive_consumer));
    ReceiveSide consumer = queue.consumer();
    WaitPoint& space = queue.view().header->space;
    EXPECT_TRUE(consumer.acks_need_more(128));
    EXPECT_FALSE(consumer.acks_need_more(129));
    const WaitTicket ticket = register_waiter(space, false);
    EXPECT_TRUE(consumer.acks_need_more(129));
    leave_waiters(space, ticket);
    EXPECT_FALSE(consumer.acks_need_more(129));
    // Nobody asks for more room of a queue without a journal.
    queue.view().header->journal.wants_room.store(1);
    EXPECT_FALSE(consumer.acks_need_more(129));
    ask_to_fence(space);
    EXPECT_TRUE(consumer.acks_need_more(129));
}

TEST(Queue, AcksOfAProcessThatMustFenceAlwaysNeedMore) {
    TestQueue queue(small_shape(exclusive_consumer));
    EXPECT_TRUE(
        ReceiveSide(queue.view(), queue.admit(Role::consumer), 8, true).acks_need_more(129));
    TestQueue shared;
    EXPECT_FALSE(
        ReceiveSide(shared.view(), shared.admit(Role::consumer), 8, true).acks_need_more(129));
}

TEST(Queue, DropOldestMakesRoomAndCounts) {
    TestQueue queue(small_shape(0, Overflow::drop_oldest));
    SendSide producer = queue.producer();
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
    }
    EXPECT_EQ(queue.totals().dropped_oldest, 36u);
    ReceiveSide consumer = queue.consumer();
    for (int i = 36; i < 100; ++i)
        EXPECT_EQ(receive_text(consumer), std::to_string(i));
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(Queue, DropOldestFreesBlocksToo) {
    TestQueue queue(small_shape(0, Overflow::drop_oldest));
    SendSide producer = queue.producer();
    const std::string large(4000, 'x');
    for (int i = 0; i < 100; ++i)
        ASSERT_EQ(send_text(producer, large), SendStatus::sent);
    EXPECT_GT(queue.totals().dropped_oldest, 0u);
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

// A peer's header is input: nothing outside the pool is ever read.
TEST(Queue, AMessageWhoseBlockMakesNoSenseGoesToTheSupervisor) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, std::string(2000, 'x')), SendStatus::sent);
    auto& reference = *reinterpret_cast<BlockReference*>(queue.view().ring.payload(0));
    reference.block.store(UINT64_MAX / 2);
    Delivery delivery;
    EXPECT_EQ(consumer.try_receive(delivery), ReceiveStatus::empty);
    EXPECT_TRUE(consumer.take_supervisor_needed());
    EXPECT_EQ(consumer.in_flight(), 0u);
    EXPECT_EQ(queue.supervise().sweep(1), 1u);
    EXPECT_EQ(queue.totals().dropped_damaged, 1u);
}

TEST(QueueTest, AClaimGonePastIsCounted) {
    TestQueue queue;
    const std::uint16_t stopped = queue.admit(Role::producer);
    SendSide producer = queue.producer();
    const std::uint16_t number = queue.admit(Role::consumer);
    ReceiveSide consumer = queue.consumer(number, 64);
    Cursor cursor;
    std::uint64_t position = 0;
    ASSERT_EQ(queue.view().ring.claim(cursor, stopped, position), ClaimStatus::claimed);
    ASSERT_EQ(send_text(producer, "behind it"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(queue.record(number).skips.load(), 1u);
}

// A producer that sleeps for room goes to sleep by one rule, and has to wake up to another.
TEST(QueueTest, WhoSleepsForRoomIsWokenByAChangeOfTheRules) {
    TestQueue queue;
    SendSide producer = queue.producer();
    while (send_text(producer, "x") == SendStatus::sent) {
    }
    EXPECT_FALSE(producer.rejects());
    WaitPoint& space = queue.view().header->space;
    const WaitTicket ticket = register_waiter(space, false);
    queue.segment().change(small_shape().lease_ns, Overflow::reject, false, {});
    EXPECT_EQ(wait(space, ticket, 0), WaitEnd::signalled);
    leave_waiters(space, ticket);
    EXPECT_TRUE(producer.rejects());
}

}  // namespace
}  // namespace shmq::shm

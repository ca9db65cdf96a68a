// Moves between two queues: what arrives, what a supervisor's death in between leaves, and that its
// successor neither loses nor doubles the message.
#include "shm/move.hpp"

#include <gtest/gtest.h>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

class MoveTest : public testing::Test {
  protected:
    MoveTest() : producer_(source_.producer()), consumer_(source_.consumer()) {}

    // A message that the supervisor holds, as if doomed. Its sequence.
    std::uint64_t hold(const std::string& text) {
        EXPECT_EQ(send_text(producer_, text), SendStatus::sent);
        Delivery delivery;
        EXPECT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
        EXPECT_EQ(consumer_.nack(delivery), HoldStatus::done);
        EXPECT_EQ(
            Move(source_.supervise(), target_.supervise()).take(delivery.lease.sequence, true), "");
        return delivery.lease.sequence;
    }
    MoveStatus move(std::uint64_t sequence, const DeadLetterRecord* history) {
        return Move(source_.supervise(), target_.supervise())
            .run(sequence, history, CountJournal::Drop::dead_limit);
    }
    static DeadLetterRecord record() {
        DeadLetterRecord record{};
        record.magic = dead_letter_magic;
        record.reason = static_cast<std::uint32_t>(DeadReason::expired);
        std::strcpy(record.source, "jobs");
        return record;
    }
    std::string sole_violation() {
        auto all = source_.violations();
        const auto others = target_.violations();
        all.insert(all.end(), others.begin(), others.end());
        return all.empty() ? "" : all.front();
    }

    TestQueue source_;
    TestQueue target_;
    SendSide producer_;
    ReceiveSide consumer_;
};

TEST_F(MoveTest, TheMessageArrivesWithItsHistoryAndTheRedeliveredMark) {
    const DeadLetterRecord history = record();
    for (const std::size_t size : {0uz, 5uz, 32uz, 33uz, 3000uz}) {
        const std::string text(size, 'm');
        ASSERT_EQ(move(hold(text), &history), MoveStatus::moved) << size;
        ReceiveSide heir = target_.consumer();
        Delivery delivery;
        ASSERT_EQ(heir.try_receive(delivery), ReceiveStatus::received) << size;
        EXPECT_EQ(text_of(delivery), text);
        EXPECT_EQ(delivery.deliveries, 2u);
        EXPECT_EQ(delivery.failures, 0u);
        const auto read = read_history(delivery.data, delivery.length,
                                       heir.view().pool.block_bytes(delivery.block.block));
        ASSERT_TRUE(read);
        EXPECT_STREQ(read->source, "jobs");
        EXPECT_EQ(heir.ack(delivery), HoldStatus::done);
    }
    EXPECT_EQ(source_.counts().blocks_used + target_.counts().blocks_used, 0u);
    EXPECT_EQ(target_.totals().moved_in, 5u);
    EXPECT_EQ(sole_violation(), "");
}

TEST_F(MoveTest, WithoutAHistoryASmallOneTravelsInItsSlot) {
    ASSERT_EQ(move(hold("small"), nullptr), MoveStatus::moved);
    EXPECT_EQ(target_.counts().blocks_used, 0u);
    ReceiveSide heir = target_.consumer();
    EXPECT_EQ(receive_text(heir), "small");
}

TEST_F(MoveTest, AFullTargetChangesNothing) {
    SendSide filler = target_.producer();
    while (send_text(filler, "x") == SendStatus::sent) {
    }
    const DeadLetterRecord history = record();
    const std::uint64_t sequence = hold("waits");
    EXPECT_EQ(move(sequence, &history), MoveStatus::full);
    EXPECT_EQ(source_.counts().deciding, 1u);
    EXPECT_EQ(target_.counts().blocks_used, 0u);
    ReceiveSide drain = target_.consumer();
    EXPECT_EQ(receive_text(drain), "x");
    EXPECT_EQ(move(sequence, &history), MoveStatus::moved);
}

TEST_F(MoveTest, ATargetWithoutBlocksLargeEnoughIsTooSmallForEver) {
    Shape shape = small_shape();
    shape.max_message = 16;
    TestQueue tiny(shape);
    const std::uint64_t sequence = hold(std::string(100, 'x'));
    EXPECT_EQ(Move(source_.supervise(), tiny.supervise())
                  .run(sequence, nullptr, CountJournal::Drop::dead_limit),
              MoveStatus::too_large);
    // What fits goes there without its history, and keeps the mark.
    const DeadLetterRecord history = record();
    EXPECT_EQ(Move(source_.supervise(), tiny.supervise())
                  .run(hold("fits"), &history, CountJournal::Drop::redriven),
              MoveStatus::moved);
    EXPECT_EQ(tiny.view().ring.slot(0).length.load(), 4u | length_redriven);
    ReceiveSide heir = tiny.consumer();
    EXPECT_EQ(receive_text(heir), "fits");
    EXPECT_EQ(tiny.violations(), std::vector<std::string>{});
}

// ---- A supervisor that dies in between ---------------------------------------------------------

TEST_F(MoveTest, NobodyTouchesWhatAPredecessorMayHaveMoved) {
    const std::uint64_t taken = hold("taken");
    ASSERT_EQ(send_text(producer_, "rejected"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
    ASSERT_EQ(consumer_.reject(delivery), HoldStatus::done);
    Supervise successor(source_.segment());
    bool unknown = true;
    successor.leave_in_doubt_while([&unknown] { return unknown; });
    EXPECT_EQ(successor.sweep(1), 0u);
    EXPECT_LE(successor.next_due(), 1 + nanoseconds_per_second);
    for (const std::uint64_t sequence : {taken, delivery.lease.sequence}) {
        EXPECT_NE(Move(successor, target_.supervise()).take(sequence, true), "");
        EXPECT_NE(successor.ack_by_hand(sequence), "");
        EXPECT_NE(successor.nack_by_hand(sequence, 0, 1), "");
        EXPECT_NE(successor.discard(sequence, true), "");
        EXPECT_TRUE(successor.bound(sequence));
    }
    EXPECT_EQ(successor.purge(), 0u);
    EXPECT_EQ(consumer_.try_receive(delivery), ReceiveStatus::empty);
    // Once the journals are read, it goes on where it stood.
    unknown = false;
    EXPECT_FALSE(successor.bound(taken));
    successor.sweep(2);
    EXPECT_EQ(receive_text(consumer_), "taken");
    EXPECT_EQ(sole_violation(), "");
}

TEST_F(MoveTest, AClaimOfTheDeadIsFreedByASweep) {
    QueueView view = target_.view();
    Cursor cursor;
    std::uint64_t position = 0;
    ASSERT_EQ(view.ring.claim(cursor, 0, position), ClaimStatus::claimed);
    BlockPool::Cursors cursors;
    ASSERT_TRUE(view.pool.allocate(2000, 0, cursors).valid());
    Supervise successor(target_.segment());
    EXPECT_EQ(successor.sweep(1), 1u);
    EXPECT_EQ(target_.counts().writing, 0u);
    EXPECT_EQ(target_.counts().blocks_used, 0u) << "its block, too";
    EXPECT_FALSE(successor.damaged());
}

// The slot as it stands between the hold and the commit.
class HalfWay : public MoveTest {
  protected:
    void SetUp() override {
        sequence_ = hold("half");
        // Everything but the commit: the target believes that it holds a message of the source.
        QueueView view = target_.view();
        Cursor cursor;
        ASSERT_EQ(view.ring.claim(cursor, 0, position_), ClaimStatus::claimed);
        SlotHeader& slot = view.ring.slot(position_);
        slot.sequence.store(position_);
        slot.length.store(4);
        std::memcpy(view.ring.payload(position_), "half", 4);
        MoveMark& mark = view.header->incoming;
        std::uint64_t identity[2];
        std::memcpy(identity, source_.segment().identity(), sizeof identity);
        mark.source_identity[0].store(identity[0]);
        mark.source_identity[1].store(identity[1]);
        mark.source_sequence.store(sequence_);
        mark.position.store(position_);
        const std::uint64_t lap = view.ring.lap_of(position_);
        ASSERT_TRUE(view.write_note(0, view.notes[0].load(), {lap, 1, NoteKind::moving, 0}));
        view.attempts[0].store(Attempts{lap & lap_mask, 1, 0, 1}.pack());
        ASSERT_TRUE(view.ring.change(position_, SlotWord::make(lap, 0, 0, SlotState::writing),
                                     SlotWord::make(lap, 1, 0, SlotState::leased)));
    }
    void settle(Supervise& source) {
        Supervise successor(target_.segment());
        EXPECT_EQ(successor.sweep(1), 0u) << "a sweep alone does not decide on it";
        const auto unfinished = successor.unfinished();
        ASSERT_EQ(unfinished.size(), 1u);
        EXPECT_TRUE(unfinished[0].source_known);
        EXPECT_EQ(unfinished[0].source_sequence, sequence_);
        EXPECT_EQ(std::memcmp(unfinished[0].source_identity, source_.segment().identity(), 16), 0);
        successor.settle(unfinished[0], source.has(unfinished[0].source_sequence));
        EXPECT_TRUE(successor.unfinished().empty());
        EXPECT_FALSE(successor.damaged());
    }
    std::uint64_t copies() {
        const auto there = target_.counts();
        const auto here = source_.counts();
        return there.returned + there.ready + here.returned + here.ready + here.deciding;
    }
    std::uint64_t sequence_ = 0;
    std::uint64_t position_ = 0;
};

TEST_F(HalfWay, BeforeTheCommitItIsUndone) {
    settle(source_.supervise());
    EXPECT_EQ(target_.counts().deciding + target_.counts().returned, 0u);
    EXPECT_EQ(copies(), 1u);
    EXPECT_EQ(source_.counts().deciding, 1u);
}

TEST_F(HalfWay, AfterTheCommitItIsFinished) {
    EXPECT_EQ(source_.supervise().discard(sequence_, true), "");
    settle(source_.supervise());
    EXPECT_EQ(copies(), 1u);
    ReceiveSide heir = target_.consumer();
    Delivery delivery;
    ASSERT_EQ(heir.try_receive(delivery), ReceiveStatus::received);
    EXPECT_EQ(text_of(delivery), "half");
    EXPECT_EQ(delivery.deliveries, 2u);
}

TEST_F(MoveTest, WhatWasMovedMayBeMovedOn) {
    ASSERT_EQ(move(hold("on"), nullptr), MoveStatus::moved);
    Move back(target_.supervise(), source_.supervise());
    ASSERT_EQ(back.take(0, true), "");
    EXPECT_TRUE(target_.supervise().unfinished().empty()) << "its note speaks no more";
    ASSERT_EQ(back.run(0, nullptr, CountJournal::Drop::redriven), MoveStatus::moved);
    EXPECT_EQ(receive_text(consumer_), "on");
    EXPECT_EQ(sole_violation(), "");
}

TEST_F(HalfWay, WhoeverHasItInTheSourceCounts) {
    Move(source_.supervise(), target_.supervise()).put_back(sequence_);
    settle(source_.supervise());
    EXPECT_EQ(copies(), 1u);
    EXPECT_EQ(source_.counts().returned, 1u);
}

TEST_F(HalfWay, AMarkOfAnotherMoveIsNotBelieved) {
    target_.header().incoming.position.store(position_ + 64);
    Supervise successor(target_.segment());
    ASSERT_EQ(successor.unfinished().size(), 1u);
    EXPECT_FALSE(successor.unfinished()[0].source_known);
}

// Words of the ring that never let a search come to its end: the supervisor gives up.
TEST_F(MoveTest, ARingThatLeadsInCirclesIsFull) {
    QueueView view = target_.view();
    for (std::uint64_t index = 0; index < view.ring.capacity(); ++index) {
        view.ring.slot(index).word.store(index % 2 == 0 ? SlotWord::free(lap_mask / 4 + 9).raw
                                                        : SlotWord::free(0).raw);
    }
    EXPECT_NE(move(hold("x"), nullptr), MoveStatus::gone);
}

}  // namespace
}  // namespace shmq::shm

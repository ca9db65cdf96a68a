// An audit that finds nothing proves nothing: each kind of damage is done, and named.
#include "shm/audit.hpp"

#include <gtest/gtest.h>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

// Four messages: 0 leased, 1 returned, 2 ready and large, 3 ready.
class AuditTest : public testing::Test {
  protected:
    AuditTest() {
        EXPECT_EQ(send_text(producer_, "leased"), SendStatus::sent);
        EXPECT_EQ(send_text(producer_, "returned"), SendStatus::sent);
        EXPECT_EQ(send_text(producer_, std::string(2000, 'x')), SendStatus::sent);
        EXPECT_EQ(send_text(producer_, "ready"), SendStatus::sent);
        EXPECT_EQ(consumer_.try_receive(held_), ReceiveStatus::received);
        Delivery delivery;
        EXPECT_EQ(consumer_.try_receive(delivery), ReceiveStatus::received);
        EXPECT_EQ(consumer_.nack(delivery), HoldStatus::done);
        EXPECT_EQ(queue_.violations(), std::vector<std::string>{});
    }

    SlotWord word(std::uint64_t index) { return view_.ring.word_at(index); }
    void set(std::uint64_t index, SlotWord word) { view_.ring.slot(index).word.store(word.raw); }
    BlockReference& reference(std::uint64_t index) {
        return *reinterpret_cast<BlockReference*>(view_.ring.payload(index));
    }
    // That the audit says so, for this slot or block.
    void expect(const std::string& what, bool quiescent = true) {
        std::string all;
        for (const auto& violation : queue_.violations(quiescent))
            all += violation + "\n";
        EXPECT_NE(all.find(what), std::string::npos) << "found only:\n" << all;
    }

    TestQueue queue_;
    QueueView view_ = queue_.view();
    SendSide producer_ = queue_.producer();
    ReceiveSide consumer_ = queue_.consumer();
    Delivery held_;
};

TEST_F(AuditTest, UnknownState) {
    set(0, {word(0).raw | 15});
    expect("no such state", false);
}
TEST_F(AuditTest, FreeButMarked) {
    set(5, SlotWord::make(0, 3, 0, SlotState::free));
    expect("free but marked", false);
}
TEST_F(AuditTest, OwnerOfAReadySlot) {
    set(3, word(3).to(SlotState::ready, 1));
    expect("has an owner", false);
}
TEST_F(AuditTest, OwnerOutOfBounds) {
    set(0, word(0).to(SlotState::leased, 999));
    expect("owner out of bounds", false);
}
TEST_F(AuditTest, OwnerNotInUse) {
    set(0, word(0).to(SlotState::leased, 9));
    expect("owned by a number not in use", false);
}
TEST_F(AuditTest, ClaimOfTheSupervisorWhenQuiet) {
    set(4, SlotWord::make(0, 0, 0, SlotState::writing));
    expect("unfinished claim");
}
TEST_F(AuditTest, UnfinishedClaimWhenQuiet) {
    set(4, SlotWord::make(0, 0, 1, SlotState::writing));
    expect("unfinished claim");
}
TEST_F(AuditTest, UndecidedWhenQuiet) {
    set(0, word(0).to(SlotState::leased, 0));
    expect("waits for a decision");
}
TEST_F(AuditTest, SequenceOfAnotherSlot) {
    view_.ring.slot(3).sequence.store(4);
    expect("is not this slot's", false);
}
TEST_F(AuditTest, SequenceOfALaterLap) {
    view_.ring.slot(3).sequence.store(3 + 64);
    expect("is not this slot's", false);
}
TEST_F(AuditTest, ReadyAndPassedOver) {
    set(3, word(3).with_lap(1));
    expect("ready, but passed over", false);
}
TEST_F(AuditTest, LengthAboveTheMost) {
    view_.ring.slot(3).length.store(5000);
    expect("above max_message", false);
}
TEST_F(AuditTest, ReturnedWithoutItsCell) {
    ASSERT_TRUE(view_.map.replace(1, view_.map.cell(1), 0));
    expect("its cell does not say so", false);
}
TEST_F(AuditTest, BlockOutOfBounds) {
    reference(2).block.store(1u << 20);
    expect("out of bounds", false);
}
TEST_F(AuditTest, BlockFreedUnderItsMessage) {
    view_.pool.free(view_.block_at(2));
    expect("refers to a block that was freed", false);
}
TEST_F(AuditTest, MessageLongerThanItsBlock) {
    view_.ring.slot(2).length.store(4096);
    while (view_.pool.block_bytes(reference(2).block.load()) >= 4096) {
        const std::uint64_t smaller = reference(2).block.load() - 1;
        reference(2).block.store(smaller);
        view_.pool.change(smaller, view_.pool.word(smaller),
                          BlockWord::make(0, 0, BlockState::in_slot));
    }
    expect("is longer than its block", false);
}
TEST_F(AuditTest, BlockSharedByTwoMessages) {
    ASSERT_EQ(send_text(producer_, std::string(2000, 'y')), SendStatus::sent);
    reference(4).block.store(reference(2).block.load());
    reference(4).generation.store(reference(2).generation.load());
    expect("shares a block", false);
}
TEST_F(AuditTest, HeadHintBeyondAReadySlot) {
    view_.header->head.store(4);
    expect("ready before the head hint", false);
}
TEST_F(AuditTest, FreeSlotLeftBehind) {
    set(3, SlotWord::free(0));
    ASSERT_EQ(send_text(producer_, "later"), SendStatus::sent);
    expect("is free although");
}
TEST_F(AuditTest, BlockInSlotThatNoSlotRefersTo) {
    BlockPool::Cursors cursors;
    const BlockHandle block = view_.pool.allocate(100, 1, cursors);
    ASSERT_TRUE(view_.pool.hand_over(block, 1));
    expect("no slot refers to it");
}
TEST_F(AuditTest, BlockLoanedToNobody) {
    BlockPool::Cursors cursors;
    ASSERT_TRUE(view_.pool.allocate(100, 9, cursors).valid());
    expect("is loaned to a number not in use");
}
TEST_F(AuditTest, BlockInNoState) {
    view_.pool.change(7, view_.pool.word(7), {77});
    expect("has no such state");
}

TEST_F(AuditTest, PeekShowsReturnedOnesFirstAndDisturbsNothing) {
    const auto seen = peek(queue_.segment(), 10, 5);
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].sequence, 1u);
    EXPECT_EQ(seen[0].state, SlotState::returned);
    EXPECT_EQ(seen[0].deliveries, 1u);
    EXPECT_EQ(seen[1].sequence, 2u);
    EXPECT_EQ(seen[1].length, 2000u);
    EXPECT_EQ(seen[1].content.size(), 5u);
    EXPECT_EQ(seen[2].sequence, 3u);
    EXPECT_EQ(consumer_.ack(held_), HoldStatus::done);
    EXPECT_EQ(receive_text(consumer_), "returned");
}

TEST_F(AuditTest, CountsWhatIsThere) {
    const StateCounts counts = queue_.counts();
    EXPECT_EQ(counts.ready, 2u);
    EXPECT_EQ(counts.leased, 1u);
    EXPECT_EQ(counts.returned, 1u);
    EXPECT_EQ(counts.blocks_used, 1u);
    EXPECT_EQ(counts.bytes, 6u + 8u + 2000u + 5u);
    const auto held = pending(queue_.segment(), 10);
    ASSERT_EQ(held.size(), 1u);
    EXPECT_EQ(held[0].sequence, 0u);
    EXPECT_EQ(held[0].owner, 2);
}

}  // namespace
}  // namespace shmq::shm

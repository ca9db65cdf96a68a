#include "shm/count_journal.hpp"

#include <gtest/gtest.h>

#include "test_queue.hpp"

namespace shmq::shm {
namespace {

// A queue with one message in the supervisor's hands, at sequence 0.
class CountJournalTest : public testing::Test {
  protected:
    CountJournalTest() {
        SendSide producer = queue_.producer();
        ReceiveSide consumer = queue_.consumer();
        EXPECT_EQ(send_text(producer, "rejected"), SendStatus::sent);
        Delivery delivery;
        EXPECT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
        EXPECT_EQ(consumer.reject(delivery), HoldStatus::done);
    }

    void free_slot() {
        const SlotWord word = view_.ring.word_at(0);
        EXPECT_TRUE(view_.ring.change(0, word, word.freed()));
    }
    std::uint64_t rejected() { return queue_.header().totals.dropped_rejected.load(); }

    TestQueue queue_;
    QueueView view_ = queue_.view();
};

TEST_F(CountJournalTest, ADropThatNeverHappenedIsNotCounted) {
    CountJournal::begin_drop(view_, CountJournal::Drop::rejected, 0);
    CountJournal::recover(view_);
    EXPECT_EQ(rejected(), 0u);
    EXPECT_EQ(queue_.header().count_step.load(), 0u);
}

TEST_F(CountJournalTest, ADropThatHappenedIsCountedBySuccessorsOnce) {
    CountJournal::begin_drop(view_, CountJournal::Drop::rejected, 0);
    free_slot();
    CountJournal::recover(view_);
    CountJournal::recover(view_);
    EXPECT_EQ(rejected(), 1u);
}

TEST_F(CountJournalTest, ACountThatWasMadeIsNotMadeAgain) {
    CountJournal::begin_drop(view_, CountJournal::Drop::rejected, 0);
    free_slot();
    const std::uint64_t step = queue_.header().count_step.load();
    CountJournal::end_drop(view_, CountJournal::Drop::rejected, true);
    queue_.header().count_step.store(step);  // as if killed before the last store
    CountJournal::recover(view_);
    EXPECT_EQ(rejected(), 1u);
}

TEST_F(CountJournalTest, AnotherMessageInTheSlotIsNotTheDroppedOne) {
    CountJournal::begin_drop(view_, CountJournal::Drop::rejected, 0);
    free_slot();
    // A lap later its successor in the slot is in the supervisor's hands, too.
    const std::uint64_t capacity = view_.ring.capacity();
    view_.ring.slot(0).sequence.store(capacity);
    view_.ring.slot(0).word.store(SlotWord::make(1, 1, 0, SlotState::leased).raw);
    CountJournal::recover(view_);
    EXPECT_EQ(rejected(), 1u);
}

TEST_F(CountJournalTest, WhatMakesNoSenseIsForgotten) {
    const TotalCounts before = queue_.totals();
    for (const std::uint64_t scribble : {UINT64_MAX, std::uint64_t{1} << 63, UINT64_MAX >> 1}) {
        queue_.header().count_step.store(scribble);
        CountJournal::recover(view_);
        EXPECT_EQ(queue_.header().count_step.load(), 0u);
    }
    EXPECT_EQ(queue_.totals().acked, before.acked);
    EXPECT_EQ(queue_.totals().dropped_rejected, before.dropped_rejected);
}

}  // namespace
}  // namespace shmq::shm

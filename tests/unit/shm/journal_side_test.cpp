// The memory side of a queue with a journal, with one producer and one consumer in this process:
// the ways through the gate, what a successor finds of a refill, and where blocks go.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <string>

#include "shm/audit.hpp"
#include "shm/journal_side.hpp"
#include "shm/supervise.hpp"

namespace shmq::shm {
namespace {

class JournalSideTest : public testing::Test {
  protected:
    void make(std::uint32_t flags = 0, std::uint64_t max_message = 4096) {
        Shape shape{};
        shape.capacity = 64;
        shape.max_message = max_message;
        shape.pool_bytes = 1 << 20;
        shape.participants = 8;
        shape.overflow = static_cast<std::uint32_t>(Overflow::spill);
        shape.flags = journal_present | flags;
        const std::uint8_t identity[16] = {1};
        AttachFailure failure;
        segment_ = Segment::create(with_defaults(shape), identity, failure);
        ASSERT_NE(segment_, nullptr) << failure.detail;
        ASSERT_TRUE(segment_->create_pool(failure));
        supervise_ = std::make_unique<Supervise>(*segment_);
        supervise_->share_in_flight(64);
        producer_ = std::make_unique<SendSide>(
            view(), supervise_->admit(Role::producer, false, {1, 1}, 1), false);
        consumer_ = std::make_unique<ReceiveSide>(
            view(), supervise_->admit(Role::consumer, false, {1, 1}, 1), 64, false);
        side_ = std::make_unique<JournalSide>(view());
    }
    QueueView view() const {
        return QueueView(segment_->ring_base(), segment_->pool_base(), segment_->geometry());
    }
    SendStatus send(const std::string& text) {
        const auto* data = reinterpret_cast<const std::byte*>(text.data());
        if (text.size() <= segment_->geometry().inline_bytes)
            return producer_->try_send(data, text.size(), 1);
        const BlockHandle block = producer_->allocate(text.size());
        if (!block.valid()) return SendStatus::full;
        std::memcpy(view().pool.data(block), data, text.size());
        const SendStatus status = producer_->try_send_block(block, text.size(), 1);
        if (status != SendStatus::sent) producer_->release(block);
        return status;
    }
    // "": nothing there.
    std::string receive() {
        Delivery delivery;
        if (consumer_->try_receive(delivery, true) != ReceiveStatus::received) return {};
        std::string text(reinterpret_cast<const char*>(delivery.data), delivery.length);
        if (delivery.deliveries > 1) text += "*";
        EXPECT_EQ(consumer_->ack(delivery), HoldStatus::done);
        return text;
    }
    // Everything from the ingress to where a log would be.
    void log_arrivals() {
        Arrival arrival;
        while (side_->take(arrival)) {
            ASSERT_FALSE(arrival.damaged);
            log_.emplace_back(reinterpret_cast<const char*>(arrival.payload.data()),
                              arrival.payload.size());
            side_->free_through(arrival.position);
        }
    }
    Refill from_log(std::uint32_t deliveries = 0) const {
        const std::string& text = log_[side_->refilled() - 1];
        return {.source = RefillSource::log,
                .from = side_->refilled(),
                .lsn = side_->refilled(),
                .timestamp = 1,
                .payload = std::as_bytes(std::span(text.data(), text.size())),
                .deliveries = deliveries};
    }
    bool refill_all() {
        while (side_->refilled() <= log_.size())
            if (side_->refill(from_log()) != RefillStatus::done) return false;
        return true;
    }
    void expect_sound(bool quiescent = true) {
        for (const std::string& wrong : audit(*segment_, quiescent))
            ADD_FAILURE() << wrong;
    }
    GateState gate() const { return look_at_gate(segment_->header()).state(); }

    std::unique_ptr<Segment> segment_;
    std::unique_ptr<Supervise> supervise_;
    std::unique_ptr<SendSide> producer_;
    std::unique_ptr<ReceiveSide> consumer_;
    std::unique_ptr<JournalSide> side_;
    std::deque<std::string> log_;  // LSN 1 on
};

TEST_F(JournalSideTest, FullMeansJournalAndBothWaysKeepTheOrder) {
    make();
    int sent = 0;
    const auto name = [](int number) { return "m" + std::to_string(number); };
    for (; sent < 100; ++sent)
        ASSERT_EQ(send(name(sent)), SendStatus::sent);
    EXPECT_EQ(gate(), GateState::journal);
    EXPECT_EQ(side_->count(), 36u);
    log_arrivals();
    for (; sent < 150; ++sent)
        ASSERT_EQ(send(name(sent)), SendStatus::sent);
    log_arrivals();
    int received = 0;
    while (received < 150) {
        refill_all();
        const std::string text = receive();
        ASSERT_EQ(text, name(received)) << received;
        ++received;
    }
    EXPECT_TRUE(side_->try_direct());
    EXPECT_EQ(gate(), GateState::direct);
    ASSERT_EQ(send("direct"), SendStatus::sent);
    EXPECT_EQ(side_->count(), 0u);
    EXPECT_EQ(receive(), "direct");
    expect_sound();
}

TEST_F(JournalSideTest, TheGateIsNotMovedPastAnArrival) {
    make();
    for (int i = 0; i < 65; ++i)
        ASSERT_EQ(send("x"), SendStatus::sent);
    EXPECT_FALSE(side_->try_direct());
    EXPECT_EQ(gate(), GateState::journal);
    expect_sound();
}

TEST_F(JournalSideTest, AProducerOpensWhatWasClosedBeforeItsEpochOnly) {
    make();
    for (int i = 0; i < 65; ++i)
        ASSERT_EQ(send("x"), SendStatus::sent);
    log_arrivals();
    while (!receive().empty()) {
    }
    ASSERT_TRUE(refill_all());
    ASSERT_TRUE(side_->try_direct());
    // Full again: the closed slot is of an older epoch than the gate.
    for (int i = 0; i < 65; ++i)
        ASSERT_EQ(send("y"), SendStatus::sent);
    EXPECT_EQ(gate(), GateState::journal);
    EXPECT_EQ(side_->count(), 2u);  // one was refilled before
    const GateWord now = look_at_gate(segment_->header());
    EXPECT_TRUE(closed_before(SlotWord::closed(0, now.mark() - 1), now));
    EXPECT_FALSE(closed_before(SlotWord::closed(0, now.mark()), now));
    EXPECT_FALSE(closed_before(SlotWord::closed(0, now.mark() + 1), now));
}

TEST_F(JournalSideTest, AFullIngressIsFull) {
    make();
    for (int i = 0; i < 128; ++i)
        ASSERT_EQ(send("x"), SendStatus::sent) << i;
    EXPECT_EQ(send("x"), SendStatus::full);
    side_->tell_room(false);
    EXPECT_EQ(send("x"), SendStatus::full);  // the queue blocks
}

TEST_F(JournalSideTest, WhereTheDiskIsFullAQueueThatRejectsRefuses) {
    make(when_full_reject);
    for (int i = 0; i < 128; ++i)
        ASSERT_EQ(send("x"), SendStatus::sent) << i;
    EXPECT_EQ(send("x"), SendStatus::full);  // the supervisor is merely behind
    side_->tell_room(false);
    EXPECT_EQ(send("x"), SendStatus::refused);
    side_->tell_room(true);
    EXPECT_EQ(send("x"), SendStatus::full);
}

// They sleep because the queue was full, and would find that out as late as the next time they
// look.
TEST_F(JournalSideTest, WhoSleepsForRoomIsWokenWhenTheDiskHasNone) {
    make(when_full_reject);
    WaitPoint& space = segment_->header().space;
    const WaitTicket ticket = register_waiter(space, false);
    side_->tell_room(false);
    EXPECT_EQ(wait(space, ticket, 0), WaitEnd::signalled);
    leave_waiters(space, ticket);
}

TEST_F(JournalSideTest, MessagesInTheFrontRingLeaveBlocksForTheJournal) {
    make(0, 65536);
    const std::string large(40000, 'a');
    int in_front = 0;
    while (gate() == GateState::direct) {
        ASSERT_EQ(send(large), SendStatus::sent);
        ++in_front;
    }
    // Whatever waits in the front ring: messages go on into the journal, one after the other.
    for (int i = 0; i < 40; ++i) {
        ASSERT_EQ(send(large), SendStatus::sent) << i;
        log_arrivals();
    }
    EXPECT_LT(in_front, 40);
    int received = 0;
    for (bool more = true; more; ++received) {
        refill_all();
        more = receive() == large;
    }
    EXPECT_EQ(received - 1, in_front + 40);
    expect_sound();
}

TEST_F(JournalSideTest, ASuccessorTakesUpARefillWhereverItWasLeft) {
    make();
    for (int i = 0; i < 66; ++i)
        ASSERT_EQ(send("m" + std::to_string(i)), SendStatus::sent);
    log_arrivals();
    for (int i = 0; i < 10; ++i)
        receive();
    // Published, and the source has not moved on: the note tells.
    ASSERT_EQ(side_->refill(from_log()), RefillStatus::done);
    JournalArea& area = segment_->header().journal;
    const std::uint64_t at = 64;  // where it went
    ASSERT_EQ(view().ring.slot(at).sequence.load(), at);
    area.note_front.store(at + 1);
    area.note_source.store(1);
    area.note_kind.store(static_cast<std::uint32_t>(RefillSource::log));
    area.refilled.store(1);
    JournalSide successor(view());
    successor.recover();
    EXPECT_EQ(successor.refilled(), 2u);
    EXPECT_EQ(area.note_front.load(), 0u);
    // Claimed, and not published: it never happened.
    Cursor cursor;
    cursor.next = 65;
    std::uint64_t position = 0;
    QueueView memory = view();
    ASSERT_EQ(memory.ring.claim(cursor, 0, position), ClaimStatus::claimed);
    area.note_front.store(position + 1);
    area.note_source.store(2);
    JournalSide next(view());
    next.recover();
    EXPECT_EQ(next.refilled(), 2u);
    EXPECT_EQ(area.note_front.load(), 0u);
    supervise_->sweep(1);
    expect_sound();
}

TEST_F(JournalSideTest, WhatMayHaveBeenDeliveredComesMarked) {
    make(durable_log);
    EXPECT_EQ(gate(), GateState::journal);
    std::vector<std::uint64_t> none;
    side_->take_gone(none);  // before anything was put there
    ASSERT_EQ(send("a"), SendStatus::sent);
    ASSERT_EQ(send("b"), SendStatus::sent);
    log_arrivals();
    ASSERT_EQ(side_->refill(from_log(3)), RefillStatus::done);
    ASSERT_EQ(side_->refill(from_log()), RefillStatus::done);
    EXPECT_EQ(side_->in_front().size(), 2u);
    std::vector<std::uint64_t> gone;
    side_->take_gone(gone);
    EXPECT_TRUE(gone.empty());
    EXPECT_EQ(receive(), "a*");
    side_->take_gone(gone);
    EXPECT_EQ(gone, std::vector<std::uint64_t>{1});
    EXPECT_EQ(receive(), "b");
    gone.clear();
    side_->take_gone(gone);
    EXPECT_EQ(gone, std::vector<std::uint64_t>{2});
    EXPECT_FALSE(side_->outstanding());
    expect_sound();
}

TEST_F(JournalSideTest, APlaceTakenAgainTellsOfTheMessageBefore) {
    make(durable_log);
    std::vector<std::uint64_t> gone;
    for (int round = 0; round < 3 * 64; ++round) {
        ASSERT_EQ(send("m"), SendStatus::sent);
        log_arrivals();
        ASSERT_EQ(side_->refill(from_log()), RefillStatus::done);
        EXPECT_EQ(receive(), "m");
    }
    side_->take_gone(gone);
    std::sort(gone.begin(), gone.end());
    ASSERT_EQ(gone.size(), 3u * 64);
    EXPECT_EQ(gone.front(), 1u);
    EXPECT_EQ(gone.back(), 3u * 64);
}

TEST_F(JournalSideTest, ClaimsOfTheDeadInTheIngressAreFreed) {
    make(durable_log);
    QueueView memory = view();
    const std::uint16_t number = supervise_->admit(Role::producer, false, {2, 2}, 1);
    Cursor cursor;
    std::uint64_t position = 0;
    ASSERT_EQ(memory.ingress.claim(cursor, number, position), ClaimStatus::claimed);
    ASSERT_EQ(send("behind"), SendStatus::sent);
    EXPECT_EQ(supervise_->reclaim(number, Ending::died).claims, 1u);
    log_arrivals();
    ASSERT_EQ(log_.size(), 1u);
    EXPECT_EQ(log_[0], "behind");
    expect_sound();
}

}  // namespace
}  // namespace shmq::shm

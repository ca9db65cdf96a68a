// Returned messages are found oldest first, however many there are.
#include "shm/returned_map.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

// Everything sent, taken, and given back in an order of its own.
void return_all(TestQueue& queue, int messages, int stride) {
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    std::vector<Delivery> held(static_cast<std::size_t>(messages));
    for (int i = 0; i < messages; ++i) {
        ASSERT_EQ(send_text(producer, std::to_string(i)), SendStatus::sent);
        ASSERT_EQ(consumer.try_receive(held[static_cast<std::size_t>(i)]), ReceiveStatus::received);
    }
    for (int i = 0; i < messages; ++i) {
        auto& delivery = held[static_cast<std::size_t>(i * stride % messages)];
        ASSERT_EQ(consumer.nack(delivery), HoldStatus::done);
    }
}

TEST(ReturnedMap, GivesTheOldestFirst) {
    TestQueue queue;
    return_all(queue, 61, 7);
    ReceiveSide consumer = queue.consumer();
    for (int i = 0; i < 61; ++i)
        EXPECT_EQ(receive_text(consumer), std::to_string(i));
    EXPECT_EQ(receive_text(consumer), "");
    EXPECT_EQ(queue.violations(), std::vector<std::string>{});
}

TEST(ReturnedMap, FindsMoreThanOneLookKeeps) {
    Shape shape = small_shape();
    shape.capacity = 256;
    TestQueue queue(shape);
    return_all(queue, 251, 11);
    ReceiveSide consumer = queue.consumer();
    for (int i = 0; i < 251; ++i)
        EXPECT_EQ(receive_text(consumer), std::to_string(i));
    EXPECT_EQ(receive_text(consumer), "");
}

TEST(ReturnedMap, ReturnedOnesComeBeforeNewOnes) {
    TestQueue queue;
    return_all(queue, 3, 1);
    SendSide producer = queue.producer();
    ASSERT_EQ(send_text(producer, "new"), SendStatus::sent);
    ReceiveSide consumer = queue.consumer();
    for (const char* text : {"0", "1", "2", "new"})
        EXPECT_EQ(receive_text(consumer), text);
}

TEST(ReturnedMap, ACellThatSaysNothingIsCleared) {
    TestQueue queue;
    QueueView view = queue.view();
    const std::uint64_t cell = returned_cell(0, 5, 3);
    ASSERT_TRUE(view.map.replace(9, 0, cell));
    ReturnedFinds finds;
    finds.look_everywhere(view.ring, view.map);
    EXPECT_EQ(finds.next(), nullptr);
    EXPECT_FALSE(cell_set(view.map.cell(9)));
}

TEST(ReturnedMap, AReturnUnderWayIsPassedOver) {
    TestQueue queue;
    SendSide producer = queue.producer();
    ReceiveSide consumer = queue.consumer();
    ASSERT_EQ(send_text(producer, "x"), SendStatus::sent);
    Delivery delivery;
    ASSERT_EQ(consumer.try_receive(delivery), ReceiveStatus::received);
    QueueView view = queue.view();
    ASSERT_TRUE(
        view.set_cell(delivery.lease.sequence, delivery.lease.word.tag(), [] { return true; }));
    ReturnedFinds finds;
    finds.look_everywhere(view.ring, view.map);
    EXPECT_EQ(finds.next(), nullptr);
    EXPECT_TRUE(cell_set(view.map.cell(0)));
}

// As a refill from the journal does with what was delivered before: the cell first.
TEST(ReturnedMap, ARefillUnderWayIsPassedOver) {
    TestQueue queue;
    QueueView view = queue.view();
    Cursor cursor;
    std::uint64_t position = 0;
    ASSERT_EQ(view.ring.claim(cursor, 0, position), ClaimStatus::claimed);
    view.ring.slot(position).sequence.store(position, memory_order_relaxed);
    ASSERT_TRUE(view.set_cell(position, 1, [] { return true; }));
    ReturnedFinds finds;
    finds.look_everywhere(view.ring, view.map);
    EXPECT_EQ(finds.next(), nullptr);
    EXPECT_TRUE(cell_set(view.map.cell(view.ring.index_of(position))));
    const std::uint64_t lap = view.ring.lap_of(position);
    ASSERT_TRUE(view.ring.change(position, SlotWord::make(lap, 0, 0, SlotState::writing),
                                 SlotWord::make(lap, 1, 0, SlotState::returned)));
    finds.look_everywhere(view.ring, view.map);
    const auto* find = finds.next();
    ASSERT_NE(find, nullptr);
    EXPECT_EQ(find->sequence, position);
}

// The walks behind the first one begin where it ended, and are short of nothing.
TEST(ReturnedMap, LookingFurtherYieldsAllInOrder) {
    Shape shape = small_shape();
    shape.capacity = 256;
    TestQueue queue(shape);
    return_all(queue, 251, 7);
    QueueView view = queue.view();
    ReturnedFinds finds;
    finds.look_everywhere(view.ring, view.map);
    std::vector<std::uint64_t> sequences;
    for (;;) {
        while (const auto* find = finds.next()) {
            sequences.push_back(find->sequence);
            ASSERT_TRUE(view.map.replace(find->index, find->cell, cleared_cell(find->cell)));
        }
        if (!finds.more()) break;
        finds.look_further(view.ring, view.map);
    }
    EXPECT_EQ(sequences.size(), 251u);
    EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end()));
}

TEST(ReturnedMap, TheFirstSetCellIsFoundWhereverItIs) {
    constexpr std::uint64_t end = 23;
    for (std::uint64_t set = 0; set < end; ++set) {
        TestQueue queue;
        QueueView view = queue.view();
        ASSERT_TRUE(view.map.replace(set, 0, returned_cell(0, 5, 3)));
        for (std::uint64_t from = 0; from <= end; ++from)
            EXPECT_EQ(view.map.first_set(from, end), from <= set ? set : end) << from;
        EXPECT_EQ(view.map.first_set(0, set), set) << "it ends before that one";
    }
}

// Each, whether a walk begins with it, ends with it, or goes past the end of the ring.
TEST(ReturnedMap, WalksOfAnyLengthMissNothing) {
    for (std::uint64_t cells = 1; cells < 70; ++cells) {
        TestQueue queue;
        return_all(queue, 60, 1);
        QueueView view = queue.view();
        ReturnedFinds finds;
        std::set<std::uint64_t> found;
        finds.look_on(view.ring, view.map, 61);
        for (std::uint64_t walked = 0; walked < view.ring.capacity(); walked += cells) {
            finds.look_on(view.ring, view.map, cells);
            while (const auto* find = finds.next())
                found.insert(find->sequence);
        }
        EXPECT_EQ(found.size(), 60u) << cells;
    }
}

// A walk of few cells comes round to everything in the end.
TEST(ReturnedMap, WhatNobodyAnnouncedIsFoundByLookingOn) {
    TestQueue queue;
    return_all(queue, 60, 1);
    QueueView view = queue.view();
    ReturnedFinds finds;
    std::size_t found = 0;
    for (int walk = 0; walk < 16; ++walk) {
        finds.look_on(view.ring, view.map, 4);
        while (finds.next() != nullptr)
            ++found;
    }
    EXPECT_EQ(found, 60u);
}

}  // namespace
}  // namespace shmq::shm

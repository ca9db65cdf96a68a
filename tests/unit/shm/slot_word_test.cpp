// The bits of the words: each field keeps to its own, and laps wrap.
#include "shm/slot_word.hpp"

#include <gtest/gtest.h>

namespace shmq::shm {
namespace {

TEST(SlotWord, FieldsKeepToTheirBits) {
    const auto word = SlotWord::make(lap_mask, 255, 65535, SlotState::returned);
    EXPECT_EQ(word.lap(), lap_mask);
    EXPECT_EQ(word.tag(), 255);
    EXPECT_EQ(word.owner(), 65535);
    EXPECT_EQ(word.state(), SlotState::returned);
    EXPECT_EQ(SlotWord::make(lap_mask, 0, 0, SlotState::free).raw, lap_mask << 28);
    EXPECT_EQ(SlotWord::make(0, 255, 0, SlotState::free).raw, 0xff00000u);
    EXPECT_EQ(SlotWord::make(0, 0, 65535, SlotState::free).raw, 0xffff0u);
    EXPECT_EQ(SlotWord::make(lap_mask + 1, 0, 0, SlotState::free).raw, 0u);
}

TEST(SlotWord, ZeroBytesAreAFreeSlotOfLapNought) {
    EXPECT_EQ(SlotWord{}, SlotWord::free(0));
}

TEST(SlotWord, FreeingRaisesTheLapAndForgetsTheRest) {
    const auto leased = SlotWord::make(7, 3, 9, SlotState::leased);
    EXPECT_EQ(leased.freed(), SlotWord::free(8));
    EXPECT_EQ(SlotWord::make(lap_mask, 3, 9, SlotState::leased).freed(), SlotWord::free(0));
}

TEST(SlotWord, EveryLeaseHasAnotherTag) {
    const auto ready = SlotWord::ready(5);
    const auto first = ready.leased_to(2);
    EXPECT_EQ(first, SlotWord::make(5, 1, 2, SlotState::leased));
    EXPECT_EQ(SlotWord::make(5, 255, 2, SlotState::leased).leased_to(2).tag(), 0);
    EXPECT_FALSE(first.same_lease(first.leased_to(2)));
    EXPECT_TRUE(first.same_lease(first.with_lap(6)));
    EXPECT_FALSE(first.same_lease(first.to(SlotState::leased, 3)));
}

TEST(SlotWord, ProducersPassOverWhatSomebodyHolds) {
    for (const auto state : {SlotState::leased, SlotState::returned, SlotState::skipped}) {
        EXPECT_TRUE(SlotWord::make(1, 0, 1, state).occupied());
    }
    for (const auto state : {SlotState::free, SlotState::writing, SlotState::ready}) {
        EXPECT_FALSE(SlotWord::make(1, 0, 1, state).occupied());
    }
}

TEST(SlotWord, LapsCompareRoundTheirWrap) {
    EXPECT_EQ(lap_difference(3, 1), 2);
    EXPECT_EQ(lap_difference(1, 3), -2);
    EXPECT_EQ(lap_difference(1, lap_mask - 1), 3);
    EXPECT_EQ(lap_difference(lap_mask - 1, 1), -3);
    EXPECT_EQ(lap_difference(std::uint64_t{1} << 35, 0), -(std::int64_t{1} << 35));
    EXPECT_TRUE(after(0, UINT64_MAX));
    EXPECT_FALSE(after(5, 5));
    EXPECT_EQ(later(UINT64_MAX, 2), 2u);
}

TEST(ReturnedCell, SaysWhichLeaseAndMovesWithEveryWrite) {
    const std::uint64_t first = returned_cell(0, lap_mask, 255);
    EXPECT_TRUE(cell_set(first));
    EXPECT_EQ(cell_lap(first), lap_mask);
    EXPECT_EQ(cell_tag(first), 255);
    EXPECT_TRUE(cell_means(first, lap_mask, 255));
    EXPECT_FALSE(cell_means(first, lap_mask, 254));
    EXPECT_FALSE(cell_means(first, 0, 255));
    EXPECT_FALSE(cell_means(cleared_cell(first), lap_mask, 255));
    // The same return again, after a clear, is another value: who slept in between hits nothing.
    EXPECT_NE(returned_cell(cleared_cell(first), lap_mask, 255), first);
}

TEST(ReturnedCell, ItsVersionStaysInItsBits) {
    std::uint64_t cell = 0;
    for (int write = 0; write < (1 << 19) + 3; ++write) {
        cell = returned_cell(cleared_cell(cell), 1, 2);
        ASSERT_TRUE(cell_means(cell, 1, 2)) << "at write " << write;
    }
}

TEST(Attempts, PackedAndUnpackedAreTheSame) {
    const Attempts most{lap_mask, 1023, 1023, 255};
    EXPECT_EQ(Attempts::unpack(most.pack()), most);
    const Attempts mixed{12345, 3, 2, 17};
    EXPECT_EQ(Attempts::unpack(mixed.pack()), mixed);
}

TEST(Note, SpeaksOfOneLeaseOnly) {
    const Note note{0x12345 & 0xfffff, 9, NoteKind::rejected, 77};
    const Note read = Note::unpack(note.pack());
    EXPECT_TRUE(read.speaks_of(0x12345, 9));
    EXPECT_TRUE(read.speaks_of(0x12345 | std::uint64_t{1} << 20, 9));
    EXPECT_FALSE(read.speaks_of(0x12345, 10));
    EXPECT_FALSE(read.speaks_of(0x12346, 9));
    EXPECT_EQ(read.value, 77u);
    EXPECT_FALSE(Note::unpack(0).speaks_of(0, 0));
}

}  // namespace
}  // namespace shmq::shm

// Blocks: allocated once, freed once, found by size, and never believed out of bounds.
#include "shm/block_pool.hpp"

#include <gtest/gtest.h>

#include <set>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

class BlockPoolTest : public testing::Test {
  protected:
    TestQueue queue_;
    QueueView view_ = queue_.view();
    BlockPool& pool_ = view_.pool;
    BlockPool::Cursors cursors_;
};

TEST_F(BlockPoolTest, ABlockIsAtLeastAsLargeAsAsked) {
    for (const std::uint64_t bytes : {33u, 1024u, 1025u, 4096u}) {
        const BlockHandle block = pool_.allocate(bytes, 3, cursors_);
        ASSERT_TRUE(block.valid());
        EXPECT_GE(pool_.block_bytes(block.block), bytes);
        EXPECT_EQ(pool_.word(block.block).owner(), 3);
        EXPECT_EQ(pool_.word(block.block).state(), BlockState::loaned);
    }
}

TEST_F(BlockPoolTest, BlocksDoNotOverlapAndRunOut) {
    std::set<std::uint64_t> seen;
    for (;;) {
        const BlockHandle block = pool_.allocate(1, 1, cursors_);
        if (!block.valid()) break;
        EXPECT_TRUE(seen.insert(block.block).second);
        ASSERT_NE(pool_.data(block), nullptr);
    }
    EXPECT_EQ(seen.size(), pool_.count());
    const std::byte* end = nullptr;
    for (const std::uint64_t block : seen) {
        const std::byte* data = pool_.data({block, 0});
        EXPECT_GE(data, end);
        end = data + pool_.block_bytes(block);
    }
}

TEST_F(BlockPoolTest, ALargerBlockServesWhenTheFittingOnesAreGone) {
    std::uint64_t largest = 0;
    for (;;) {
        const BlockHandle block = pool_.allocate(1, 1, cursors_);
        if (!block.valid()) break;
        largest = std::max(largest, pool_.block_bytes(block.block));
    }
    EXPECT_EQ(largest, 4096u);
}

TEST_F(BlockPoolTest, AGenerationIsFreedOnce) {
    const BlockHandle block = pool_.allocate(100, 1, cursors_);
    EXPECT_TRUE(pool_.free(block));
    EXPECT_FALSE(pool_.free(block));
    EXPECT_EQ(pool_.word(block.block).generation(), block.generation + 1);
    EXPECT_FALSE(pool_.hand_over(block, 1));
}

TEST_F(BlockPoolTest, HandedOverBlocksHaveNoOwner) {
    const BlockHandle block = pool_.allocate(100, 1, cursors_);
    EXPECT_FALSE(pool_.hand_over(block, 2));
    EXPECT_TRUE(pool_.hand_over(block, 1));
    EXPECT_EQ(pool_.word(block.block), BlockWord::make(block.generation, 0, BlockState::in_slot));
    EXPECT_FALSE(pool_.hand_over(block, 1));
    EXPECT_TRUE(pool_.free(block));
}

TEST_F(BlockPoolTest, HandlesOutOfBoundsAreRefused) {
    for (const std::uint64_t block : {pool_.count(), UINT64_MAX, UINT64_MAX / 2}) {
        EXPECT_EQ(pool_.data({block, 0}), nullptr);
        EXPECT_EQ(pool_.block_bytes(block), 0u);
        EXPECT_FALSE(pool_.free({block, 0}));
    }
}

TEST(BlockWord, FieldsKeepToTheirBits) {
    const auto word = BlockWord::make((std::uint64_t{1} << 40) - 1, 65535, BlockState::in_slot);
    EXPECT_EQ(word.generation(), (std::uint64_t{1} << 40) - 1);
    EXPECT_EQ(word.owner(), 65535);
    EXPECT_EQ(word.state(), BlockState::in_slot);
    EXPECT_EQ(word.freed(), BlockWord::make(0, 0, BlockState::free));
}

}  // namespace
}  // namespace shmq::shm

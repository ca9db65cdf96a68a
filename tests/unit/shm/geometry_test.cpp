// Shapes that are refused, with the reason; and that what is planned does not overlap.
#include "shm/geometry.hpp"

#include <gtest/gtest.h>

#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

struct BadShape {
    const char* name;
    void (*spoil)(Shape&);
    const char* says;
};

class BadShapeTest : public testing::TestWithParam<BadShape> {};

TEST_P(BadShapeTest, IsRefusedWithAReason) {
    Shape shape = small_shape();
    ASSERT_EQ(check_shape(shape), "");
    GetParam().spoil(shape);
    EXPECT_NE(check_shape(shape).find(GetParam().says), std::string::npos) << check_shape(shape);
    EXPECT_FALSE(plan(shape).has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Geometry, BadShapeTest,
    testing::Values(
        BadShape{"capacity_nought", [](Shape& s) { s.capacity = 0; }, "capacity 0"},
        BadShape{"capacity_small", [](Shape& s) { s.capacity = 32; }, "capacity 32"},
        BadShape{"capacity_odd", [](Shape& s) { s.capacity = 100; }, "128"},
        BadShape{"capacity_huge", [](Shape& s) { s.capacity = 1u << 25; }, "capacity"},
        BadShape{"slot_small", [](Shape& s) { s.slot_size = 32; }, "slot_size 32"},
        BadShape{"slot_odd", [](Shape& s) { s.slot_size = 96; }, "slot_size 96"},
        BadShape{"slot_large", [](Shape& s) { s.slot_size = 1024; }, "slot_size 1024"},
        BadShape{"message_nought", [](Shape& s) { s.max_message = 0; }, "max_message 0"},
        BadShape{"message_huge", [](Shape& s) { s.max_message = limits::message_max_bytes + 1; },
                 "max_message"},
        BadShape{"lease_short", [](Shape& s) { s.lease_ns = 1; }, "lease 1"},
        BadShape{"lease_long", [](Shape& s) { s.lease_ns = UINT64_MAX; }, "lease"},
        BadShape{"participants_few", [](Shape& s) { s.participants = 1; }, "participants 1"},
        BadShape{"participants_many", [](Shape& s) { s.participants = 1025; }, "participants"},
        BadShape{"overflow", [](Shape& s) { s.overflow = 4; }, "overflow 4"},
        BadShape{"flags", [](Shape& s) { s.flags = 1u << 20; }, "flags"},
        BadShape{"pool_flag", [](Shape& s) { s.flags = pool_present; }, "flags"},
        BadShape{"drop_exclusive",
                 [](Shape& s) {
                     s.overflow = static_cast<std::uint32_t>(Overflow::drop_oldest);
                     s.flags = exclusive_consumer;
                 },
                 "drop-oldest"},
        BadShape{"pool_small", [](Shape& s) { s.pool_bytes = 4096; }, "pool"},
        BadShape{"pool_huge", [](Shape& s) { s.pool_bytes = UINT64_MAX; }, "pool"}),
    [](const auto& one) { return std::string(one.param.name); });

// Every combination of edges: parts in order, inside the segment, none overlapping its neighbour.
TEST(Geometry, PlannedPartsDoNotOverlap) {
    for (const std::uint64_t capacity : {64u, 1024u, 65536u}) {
        for (const std::uint32_t slot : {64u, 128u, 256u, 512u}) {
            for (const std::uint64_t message : {1u, 32u, 33u, 4096u, 1u << 20}) {
                for (const std::uint32_t participants : {2u, 1024u}) {
                    Shape shape{};
                    shape.capacity = capacity;
                    shape.slot_size = slot;
                    shape.max_message = message;
                    shape.participants = participants;
                    const auto g = plan(with_defaults(shape));
                    ASSERT_TRUE(g.has_value());
                    EXPECT_LE(sizeof(SegmentHeader), g->participants_offset);
                    EXPECT_LE(g->participants_offset + participants * sizeof(ParticipantRecord),
                              g->returned_offset);
                    EXPECT_LE(g->returned_offset + capacity * sizeof(ReturnedCell),
                              g->attempts_offset);
                    EXPECT_LE(g->attempts_offset + capacity * sizeof(SlotAttempts),
                              g->notes_offset);
                    EXPECT_LE(g->notes_offset + capacity * sizeof(SlotNote), g->blocks_offset);
                    EXPECT_LE(g->blocks_offset + g->block_count * sizeof(BlockRecord),
                              g->slots_offset);
                    EXPECT_LE(g->slots_offset + capacity * slot, g->segment_bytes);
                    EXPECT_EQ(g->slots_offset % 4096, 0u);
                }
            }
        }
    }
}

TEST(Geometry, MessagesThatFitTheirSlotsNeedNoPool) {
    Shape shape = small_shape();
    shape.max_message = 32;
    shape.pool_bytes = 0;
    const auto geometry = plan(shape);
    ASSERT_TRUE(geometry.has_value());
    EXPECT_EQ(geometry->inline_bytes, 32u);
    EXPECT_EQ(geometry->class_count, 0u);
    EXPECT_EQ(geometry->pool_bytes, 0u);
}

TEST(Geometry, BlocksTileThePool) {
    Shape shape = small_shape();
    shape.max_message = 100'000;
    shape.pool_bytes = 8 << 20;
    const auto geometry = plan(shape);
    ASSERT_TRUE(geometry.has_value());
    std::uint64_t end = 0;
    std::uint64_t blocks = 0;
    for (std::uint32_t i = 0; i < geometry->class_count; ++i) {
        const SizeClass& size_class = geometry->classes[i];
        EXPECT_EQ(size_class.pool_offset, end);
        EXPECT_EQ(size_class.first_block, blocks);
        if (i > 0) {
            EXPECT_GT(size_class.block_bytes, geometry->classes[i - 1].block_bytes);
        }
        end = (end + size_class.block_bytes * size_class.block_count + 4095) / 4096 * 4096;
        blocks += size_class.block_count;
    }
    EXPECT_EQ(end, geometry->pool_bytes);
    EXPECT_EQ(blocks, geometry->block_count);
    EXPECT_GE(geometry->classes[geometry->class_count - 1].block_bytes, shape.max_message);
    EXPECT_LE(geometry->pool_bytes, shape.pool_bytes + 4096 * geometry->class_count);
}

TEST(Geometry, DefaultsFillInWhatIsNought) {
    const Shape shape = with_defaults(Shape{});
    EXPECT_EQ(check_shape(shape), "");
    EXPECT_EQ(shape.capacity, limits::capacity_default);
    EXPECT_EQ(shape.max_message, limits::message_default_max_bytes);
}

TEST(Geometry, TheLargestMessageCanBePlanned) {
    Shape shape{};
    shape.max_message = limits::message_max_bytes;
    EXPECT_TRUE(plan(with_defaults(shape)).has_value());
}

}  // namespace
}  // namespace shmq::shm

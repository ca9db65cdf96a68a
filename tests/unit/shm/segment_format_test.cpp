// The worked examples of docs/segment_format.md, done again: each step's bytes, as this build makes
// them, must stand on the page.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "shm/queue.hpp"
#include "shm/segment.hpp"
#include "shm/supervise.hpp"

namespace shmq::shm {
namespace {

constexpr std::uint64_t sent_at = 0x123456789abc;

std::string read_page() {
    std::ifstream file(SHMQ_SOURCE_DIR "/docs/segment_format.md");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

class SegmentFormatTest : public testing::Test {
  protected:
    SegmentFormatTest() {
        Shape shape{};
        const std::uint8_t identity[16]{};
        AttachFailure failure;
        segment_ = Segment::create(with_defaults(shape), identity, failure);
        EXPECT_NE(segment_, nullptr) << failure.detail;
        EXPECT_TRUE(segment_->create_pool(failure)) << failure.detail;
        view_ = QueueView(segment_->ring_base(), segment_->pool_base(), segment_->geometry());
        Supervise supervise(*segment_);
        EXPECT_EQ(supervise.admit(Role::producer, false, {1, 1}, 1), 1);
        EXPECT_EQ(supervise.admit(Role::consumer, false, {2, 2}, 1), 2);
        supervise.share_in_flight(64);
        producer_.emplace(view_, 1, true);
        consumer_.emplace(view_, 2, 64, true);
        for (int message = 0; message < 1029; ++message) {
            send("x", 0);
            Delivery delivery = receive();
            EXPECT_EQ(consumer_->ack(delivery), HoldStatus::done);
        }
    }

    void send(const std::string& text, std::uint64_t timestamp) {
        EXPECT_EQ(producer_->try_send(reinterpret_cast<const std::byte*>(text.data()), text.size(),
                                      timestamp),
                  SendStatus::sent);
    }
    Delivery receive() {
        Delivery delivery;
        EXPECT_EQ(consumer_->try_receive(delivery, true), ReceiveStatus::received);
        return delivery;
    }

    // The page must have the line of these 16 bytes of a slot.
    void expect_line(std::uint64_t index, std::uint64_t part) {
        const std::uint64_t offset = segment_->geometry().slots_offset + index * 64 + part * 16;
        std::string line = fmt::format("{:x} ", offset);
        for (std::uint64_t i = 0; i < 16; ++i) {
            line += fmt::format(" {:02x}",
                                std::to_integer<unsigned>(segment_->ring_base()[offset + i]));
        }
        expect_text(line);
    }
    void expect_text(const std::string& text) {
        EXPECT_NE(page_.find(text), std::string::npos)
            << "docs/segment_format.md does not say: " << text;
    }

    const std::string page_ = read_page();
    std::unique_ptr<Segment> segment_;
    QueueView view_;
    std::optional<SendSide> producer_;
    std::optional<ReceiveSide> consumer_;
};

TEST_F(SegmentFormatTest, TheWorkedExamplesAreTrue) {
    expect_line(5, 0);
    send("resize a.jpg", sent_at);
    for (std::uint64_t part = 0; part < 4; ++part)
        expect_line(5, part);
    Delivery delivery = receive();
    expect_line(5, 0);
    EXPECT_EQ(consumer_->nack(delivery), HoldStatus::done);
    expect_line(5, 0);
    expect_text(fmt::format("attempts become 0x{:08x}", view_.attempts[5].load()));
    expect_text(fmt::format("its cell 0x{:08x}", view_.map.cell(5)));
    delivery = receive();
    expect_line(5, 0);
    expect_text(fmt::format("the cell 0x{:08x}", view_.map.cell(5)));
    EXPECT_EQ(consumer_->ack(delivery), HoldStatus::done);
    expect_line(5, 0);

    const BlockHandle block = producer_->allocate(5000);
    expect_text(fmt::format("block {} is the", block.block));
    expect_text(fmt::format("to 0x{:x} (loaned to 1)", view_.pool.word(block.block).raw));
    EXPECT_EQ(producer_->try_send_block(block, 5000, sent_at), SendStatus::sent);
    for (std::uint64_t part = 0; part < 3; ++part)
        expect_line(6, part);
    expect_text(fmt::format("becomes 0x{:x}: in a slot", view_.pool.word(block.block).raw));
    delivery = receive();
    EXPECT_EQ(consumer_->ack(delivery), HoldStatus::done);
    expect_text(fmt::format("0x{:x}, free at generation 1", view_.pool.word(block.block).raw));
}

TEST_F(SegmentFormatTest, ThePlacesOfTheDefaultShapeAreTrue) {
    const Geometry& geometry = segment_->geometry();
    expect_text(fmt::format("| participants | {} | 262144 |", geometry.participants_offset));
    expect_text(fmt::format("| returned map | {} | 8192 |", geometry.returned_offset));
    expect_text(fmt::format("| attempts | {} | 8192 |", geometry.attempts_offset));
    expect_text(fmt::format("| notes | {} | 8192 |", geometry.notes_offset));
    expect_text(fmt::format("| first failures | {} | 8192 |", geometry.failures_offset));
    expect_text(fmt::format("| blocks | {} | {},", geometry.blocks_offset,
                            geometry.block_count * sizeof(BlockRecord)));
    expect_text(fmt::format("| slots | {} | 65536 |", geometry.slots_offset));
    expect_text(fmt::format("| end | {} | |", geometry.segment_bytes));
    for (std::uint32_t number = 0; number < geometry.class_count; ++number) {
        const SizeClass& size_class = geometry.classes[number];
        expect_text(fmt::format("| {} | {} |", size_class.block_count, size_class.first_block));
    }
}

}  // namespace
}  // namespace shmq::shm

// Real threads on one mapping, for ThreadSanitizer and for the machine's own memory order: every
// message arrives once, in each producer's order.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "client/waiting.hpp"
#include "support/seed.hpp"
#include "unit/shm/test_queue.hpp"

namespace shmq::shm {
namespace {

struct Race {
    const char* name;
    std::uint32_t flags;
    unsigned producers;
    unsigned consumers;
    std::size_t bytes;  // of each payload
    bool sleeps;
    bool nacks;
};

class ThreadsTest : public testing::TestWithParam<Race> {
  protected:
    // {producer, number}, then a pattern that tells whether the bytes are one message's.
    std::string payload(std::uint64_t producer, std::uint64_t number) const {
        std::string text(GetParam().bytes, static_cast<char>(number));
        std::memcpy(text.data(), &producer, 8);
        std::memcpy(text.data() + 8, &number, 8);
        return text;
    }
    void produce(std::uint64_t index, SendSide& side) {
        Waiting waiting(queue_.header().space, true,
                        queue_.segment().geometry().has(exclusive_consumer),
                        nanoseconds_per_second);
        for (std::uint64_t number = 0; number < messages_; ++number) {
            const std::string text = payload(index, number);
            const auto attempt = [&](bool) { return send_text(side, text) == SendStatus::sent; };
            if (GetParam().sleeps) {
                waiting.until(no_deadline, 0, attempt,
                              [&](unsigned run) { return side.room_for(run); });
                if (waiting.slept()) side.wake_space();
            } else {
                while (!attempt(false))
                    std::this_thread::yield();
            }
        }
    }
    void consume(ReceiveSide& side) {
        std::vector<std::uint64_t> last(GetParam().producers, 0);
        Waiting waiting(queue_.header().items, false,
                        queue_.segment().geometry().has(exclusive_producer),
                        nanoseconds_per_second);
        std::uint64_t taken = 0;
        while (left_.load() > 0) {
            Delivery delivery;
            const auto attempt = [&](bool thorough) {
                return left_.load() == 0 ||
                       side.try_receive(delivery, thorough) == ReceiveStatus::received;
            };
            if (GetParam().sleeps) {
                waiting.until(no_deadline, 0, attempt,
                              [&](unsigned run) { return side.ready_ahead(run); });
                if (waiting.slept()) side.pass_wake_on();
            } else if (!attempt(false)) {
                std::this_thread::yield();
            }
            if (delivery.data == nullptr) continue;
            check(delivery, last);
            if (GetParam().nacks && ++taken % 7 == 0 && delivery.deliveries < 3) {
                ASSERT_EQ(side.nack(delivery), HoldStatus::done);
                continue;
            }
            ASSERT_EQ(side.ack(delivery), HoldStatus::done);
            if (left_.fetch_sub(1) == 1) wake_all(queue_.header().items);
        }
    }
    void check(const Delivery& delivery, std::vector<std::uint64_t>& last) {
        std::uint64_t producer = 0;
        std::uint64_t number = 0;
        std::memcpy(&producer, delivery.data, 8);
        std::memcpy(&number, delivery.data + 8, 8);
        ASSERT_LT(producer, GetParam().producers);
        ASSERT_EQ(text_of(delivery), payload(producer, number));
        if (delivery.deliveries > 1) return;
        ASSERT_GE(number + 1, last[producer] + 1);
        last[producer] = number + 1;
    }

    TestQueue queue_{small_shape(GetParam().flags)};
    std::uint64_t messages_ = support::test_all() ? 200'000 : 5'000;
    std::atomic<std::uint64_t> left_{messages_ * GetParam().producers};
};

TEST_P(ThreadsTest, EveryMessageArrivesOnceAndInOrder) {
    std::vector<SendSide> producers;
    std::vector<ReceiveSide> consumers;
    for (unsigned i = 0; i < GetParam().producers; ++i)
        producers.push_back(queue_.producer());
    for (unsigned i = 0; i < GetParam().consumers; ++i)
        consumers.push_back(queue_.consumer());
    register_for_barriers();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < GetParam().producers; ++i) {
        threads.emplace_back([this, i, &side = producers[i]] { produce(i, side); });
    }
    for (auto& side : consumers)
        threads.emplace_back([this, &side] { consume(side); });
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(queue_.totals().acked, messages_ * GetParam().producers);
    EXPECT_EQ(queue_.totals().sent, messages_ * GetParam().producers);
    EXPECT_EQ(queue_.counts().ready + queue_.counts().leased + queue_.counts().returned, 0u);
    EXPECT_EQ(queue_.counts().blocks_used, 0u);
    EXPECT_EQ(queue_.violations(), std::vector<std::string>{});
}

constexpr std::uint32_t both = exclusive_producer | exclusive_consumer;

INSTANTIATE_TEST_SUITE_P(
    Queue, ThreadsTest,
    testing::Values(Race{"shared_2x2", 0, 2, 2, 32, false, false},
                    Race{"shared_2x2_nacks", 0, 2, 2, 32, false, true},
                    Race{"shared_2x2_sleeps", 0, 2, 2, 32, true, false},
                    Race{"exclusive_1x1", both, 1, 1, 32, false, false},
                    Race{"exclusive_1x1_sleeps", both, 1, 1, 32, true, false},
                    Race{"exclusive_producer_1x2", exclusive_producer, 1, 2, 32, true, false},
                    Race{"exclusive_consumer_2x1", exclusive_consumer, 2, 1, 32, true, true},
                    Race{"blocks_2x2", 0, 2, 2, 1500, false, true},
                    Race{"blocks_2x2_sleeps", 0, 2, 2, 1500, true, false}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace shmq::shm

// Sleeping on many queues at once, on real threads: nobody sleeps on beside a message, whoever else
// was woken, and a sleeper that died costs the others nothing.
#include "client/many_waits.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/seed.hpp"
#include "unit/shm/test_queue.hpp"

namespace shmq {
namespace {

using shm::Delivery;
using shm::ReceiveSide;
using shm::ReceiveStatus;
using shm::send_text;
using shm::SendSide;
using shm::SendStatus;
using shm::small_shape;
using shm::TestQueue;

// No test here may be saved by the look that a sleeper has after so long.
constexpr Nanoseconds never = 3600 * nanoseconds_per_second;

struct Sleeper {
    // One consumer of each queue.
    explicit Sleeper(std::vector<std::unique_ptr<TestQueue>>& queues) {
        sides.reserve(queues.size());
        for (auto& queue : queues) {
            sides.push_back(queue->consumer());
            WaitPlace place;
            place.side = &sides.back();
            place.plain_wakers = queue->segment().geometry().has(shm::exclusive_producer);
            place.look_again = never;
            places.push_back(place);
        }
    }
    static void look(WaitPlace& place, bool thorough) { place.status = place.side->look(thorough); }
    ManyWaits::End wait(Nanoseconds deadline = no_deadline) {
        if (ManyWaits::look_at_all(places, false, look)) return ManyWaits::End::ready;
        return waits.until(places, deadline, look);
    }

    std::vector<ReceiveSide> sides;
    std::vector<WaitPlace> places;
    ManyWaits waits;
};

std::vector<std::unique_ptr<TestQueue>> make_queues(std::size_t count, std::uint32_t flags = 0) {
    std::vector<std::unique_ptr<TestQueue>> queues;
    for (std::size_t i = 0; i < count; ++i)
        queues.push_back(std::make_unique<TestQueue>(small_shape(flags)));
    return queues;
}

bool anybody_waits(TestQueue& queue) {
    return shm::anybody_waits(queue.header().items);
}

// So many are asleep, or about to be: whoever wakes them now is seen.
void await_sleepers(TestQueue& queue, std::uint32_t count) {
    while (static_cast<std::uint32_t>(queue.header().items.waiters.load()) != count)
        std::this_thread::yield();
}

TEST(ManyWaits, TellsWhereSomethingIsAndTakesNothing) {
    auto queues = make_queues(3);
    Sleeper sleeper(queues);
    SendSide producer = queues[1]->producer();
    ASSERT_EQ(send_text(producer, "m"), SendStatus::sent);
    for (int again = 0; again < 2; ++again) {
        ASSERT_EQ(sleeper.wait(), ManyWaits::End::ready);
        EXPECT_FALSE(sleeper.places[0].tells());
        EXPECT_TRUE(sleeper.places[1].tells());
        EXPECT_FALSE(sleeper.places[2].tells());
        EXPECT_EQ(queues[1]->counts().ready, 1u);
        EXPECT_EQ(queues[1]->counts().leased, 0u);
    }
    EXPECT_EQ(receive_text(sleeper.sides[1]), "m");
    EXPECT_EQ(sleeper.wait(1), ManyWaits::End::timed_out);
}

TEST(ManyWaits, SeesWhatWasGivenBack) {
    auto queues = make_queues(2);
    Sleeper sleeper(queues);
    SendSide producer = queues[0]->producer();
    ReceiveSide other = queues[0]->consumer();
    for (const char* text : {"a", "b"})
        ASSERT_EQ(send_text(producer, text), SendStatus::sent);
    Delivery first;
    Delivery second;
    ASSERT_EQ(other.try_receive(first), ReceiveStatus::received);
    ASSERT_EQ(other.try_receive(second), ReceiveStatus::received);
    ASSERT_EQ(sleeper.wait(1), ManyWaits::End::timed_out);
    other.nack(second);
    ASSERT_EQ(sleeper.wait(), ManyWaits::End::ready);
    ASSERT_EQ(sleeper.wait(), ManyWaits::End::ready);
    Delivery back;
    ASSERT_EQ(sleeper.sides[0].try_receive(back), ReceiveStatus::received);
    EXPECT_EQ(text_of(back), "b");
    EXPECT_EQ(back.deliveries, 2u);
}

TEST(ManyWaits, GoesPastAnUnfinishedClaim) {
    auto queues = make_queues(2);
    Sleeper sleeper(queues);
    SendSide stopped = queues[1]->producer();
    SendSide producer = queues[1]->producer();
    shm::Cursor cursor;
    std::uint64_t position = 0;
    ASSERT_EQ(stopped.view().ring.claim(cursor, 1, position), shm::ClaimStatus::claimed);
    ASSERT_EQ(sleeper.wait(1), ManyWaits::End::timed_out);
    ASSERT_EQ(send_text(producer, "beyond"), SendStatus::sent);
    ASSERT_EQ(sleeper.wait(), ManyWaits::End::ready);
    EXPECT_EQ(receive_text(sleeper.sides[1]), "beyond");
}

TEST(ManyWaits, LeavesNobodyRegistered) {
    auto queues = make_queues(3);
    Sleeper sleeper(queues);
    EXPECT_EQ(sleeper.wait(monotonic_now() + nanoseconds_per_millisecond),
              ManyWaits::End::timed_out);
    for (auto& queue : queues)
        EXPECT_FALSE(anybody_waits(*queue));
}

TEST(ManyWaits, StopEndsASleepAndTheNext) {
    auto queues = make_queues(2);
    Sleeper sleeper(queues);
    std::thread stopper([&] {
        await_sleepers(*queues[1], 1);
        sleeper.waits.stop();
    });
    EXPECT_EQ(sleeper.wait(), ManyWaits::End::interrupted);
    stopper.join();
    sleeper.waits.stop();
    EXPECT_EQ(sleeper.wait(), ManyWaits::End::interrupted);
    EXPECT_EQ(sleeper.wait(1), ManyWaits::End::timed_out);
    EXPECT_FALSE(anybody_waits(*queues[0]));
}

TEST(ManyWaits, WhoHoldsAllItMayIsNotRegistered) {
    auto queues = make_queues(2);
    std::vector<ReceiveSide> sides;
    sides.push_back(queues[0]->consumer(1));
    sides.push_back(queues[1]->consumer());
    Sleeper sleeper(queues);
    sleeper.places[0].side = &sides[0];
    sleeper.places[1].side = &sides[1];
    SendSide producer = queues[0]->producer();
    for (const char* text : {"a", "b"})
        ASSERT_EQ(send_text(producer, text), SendStatus::sent);
    Delivery held;
    ASSERT_EQ(sides[0].try_receive(held), ReceiveStatus::received);
    std::thread waker([&] {
        await_sleepers(*queues[1], 1);
        EXPECT_FALSE(anybody_waits(*queues[0]));
        SendSide other = queues[1]->producer();
        EXPECT_EQ(send_text(other, "c"), SendStatus::sent);
    });
    ASSERT_EQ(sleeper.wait(), ManyWaits::End::ready);
    EXPECT_EQ(sleeper.places[0].status, ReceiveStatus::limit);
    EXPECT_TRUE(sleeper.places[1].tells());
    waker.join();
    sides[0].ack(held);
    ASSERT_EQ(sleeper.wait(), ManyWaits::End::ready);
    EXPECT_TRUE(sleeper.places[0].tells());
}

// The look at two queues wakes up for one of them; the wake-ups of both were for it. What it leaves
// untaken is for the other who sleeps there.
TEST(ManyWaits, AWakeUpThatIsNotUsedGoesToAnother) {
    auto queues = make_queues(2);
    Sleeper many(queues);
    SendSide producer = queues[0]->producer();
    ReceiveSide side = queues[0]->consumer();
    for (int round = 0; round < 20; ++round) {
        // Takes nothing, ever.
        std::thread idle([&] { EXPECT_EQ(many.wait(), ManyWaits::End::ready); });
        await_sleepers(*queues[0], 1);
        std::thread single([&] {
            Waiting waiting(queues[0]->header().items, false, false, never);
            Delivery delivery;
            waiting.until(
                no_deadline, 0,
                [&](bool) { return side.try_receive(delivery) == ReceiveStatus::received; },
                [&](unsigned) { return false; });
            EXPECT_EQ(side.ack(delivery), shm::HoldStatus::done);
        });
        await_sleepers(*queues[0], 2);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        // The kernel wakes who came first.
        ASSERT_EQ(send_text(producer, "m"), SendStatus::sent);
        idle.join();
        single.join();
    }
}

// As a process that is killed in its sleep: its registrations stay, and the first waker of each
// queue strikes them off.
TEST(ManyWaits, TheDeadCostOneCallEach) {
    auto queues = make_queues(3);
    {
        Sleeper dead(queues);
        ASSERT_TRUE(ManyWaits::prepare(dead.places, false, Sleeper::look));
    }
    for (auto& queue : queues) {
        ASSERT_TRUE(anybody_waits(*queue));
        SendSide producer = queue->producer();
        ASSERT_EQ(send_text(producer, "a"), SendStatus::sent);
        EXPECT_FALSE(anybody_waits(*queue));
    }
}

TEST(ManyWaits, AnOldWakeUpDoesNotHoldTheNextSleepUp) {
    auto queues = make_queues(2);
    Sleeper sleeper(queues);
    shm::wake_all(queues[0]->header().items);
    EXPECT_EQ(sleeper.wait(monotonic_now() + nanoseconds_per_millisecond),
              ManyWaits::End::timed_out);
}

// ---- Lost wake-ups, hunted ---------------------------------------------------------------------

struct Hunt {
    const char* name;
    std::uint32_t flags;
    unsigned queues;
    unsigned producers;  // of each queue
    unsigned sleepers;
};

class ManyWaitsHunt : public testing::TestWithParam<Hunt> {
  protected:
    void produce(SendSide& side, std::uint64_t seed) {
        std::mt19937_64 random(seed);
        for (unsigned number = 0; number < messages_; ++number) {
            while (send_text(side, "m") != SendStatus::sent)
                std::this_thread::yield();
            // Mostly as fast as can be, now and then so slow that all fall asleep.
            if (random() % 64 == 0)
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
        }
    }
    // Takes of what it is told of, one or all, or leaves it this time.
    void consume(Sleeper& sleeper, std::uint64_t seed) {
        std::mt19937_64 random(seed);
        while (left_.load() != 0) {
            const auto end = sleeper.wait();
            if (end == ManyWaits::End::interrupted) return;
            ASSERT_EQ(end, ManyWaits::End::ready);
            for (WaitPlace& place : sleeper.places) {
                if (!place.tells() || random() % 8 == 0) continue;
                Delivery delivery;
                const unsigned most = random() % 2 == 0 ? 1 : 1000;
                for (unsigned taken = 0;
                     taken < most && place.side->try_receive(delivery) == ReceiveStatus::received;
                     ++taken) {
                    if (random() % 16 == 0) {
                        place.side->nack(delivery);
                        continue;
                    }
                    place.side->ack(delivery);
                    if (left_.fetch_sub(1) == 1) stop_all();
                }
            }
        }
    }
    void stop_all() {
        for (auto& sleeper : sleepers_)
            sleeper->waits.stop();
    }

    std::vector<std::unique_ptr<TestQueue>> queues_ =
        make_queues(GetParam().queues, GetParam().flags);
    std::vector<std::unique_ptr<Sleeper>> sleepers_;
    unsigned messages_ = support::test_all() ? 50'000 : 2'000;
    std::atomic<std::uint64_t> left_{std::uint64_t{messages_} * GetParam().queues *
                                     GetParam().producers};
};

TEST_P(ManyWaitsHunt, EveryMessageIsTaken) {
    const std::uint64_t seed = support::test_seed(GetParam().name);
    shm::register_for_barriers();
    std::vector<SendSide> producers;
    for (auto& queue : queues_) {
        for (unsigned i = 0; i < GetParam().producers; ++i)
            producers.push_back(queue->producer());
    }
    for (unsigned i = 0; i < GetParam().sleepers; ++i)
        sleepers_.push_back(std::make_unique<Sleeper>(queues_));
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < producers.size(); ++i)
        threads.emplace_back([&, i] { produce(producers[i], seed + i); });
    for (std::size_t i = 0; i < sleepers_.size(); ++i)
        threads.emplace_back([&, i] { consume(*sleepers_[i], seed + 1000 + i); });
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(left_.load(), 0u);
    for (auto& queue : queues_)
        EXPECT_EQ(queue->violations(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(
    All, ManyWaitsHunt,
    testing::Values(Hunt{"one_sleeper", 0, 8, 1, 1}, Hunt{"three_sleepers", 0, 3, 1, 3},
                    Hunt{"exclusive_producers", shm::exclusive_producer, 4, 1, 2},
                    Hunt{"exclusive_both", shm::exclusive_producer | shm::exclusive_consumer, 4, 1,
                         1}),
    [](const auto& hunt) { return std::string(hunt.param.name); });

}  // namespace
}  // namespace shmq

// The thread behind a wait set's descriptor: armed, woken, recalled, again and again.
#include "client/ready_watch.hpp"

#include <poll.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "support/seed.hpp"
#include "unit/shm/test_queue.hpp"

namespace shmq {
namespace {

using shm::ReceiveSide;
using shm::SendSide;
using shm::SendStatus;
using shm::TestQueue;

class ReadyWatchTest : public testing::Test {
  protected:
    ReadyWatchTest() {
        for (std::size_t i = 0; i < 2; ++i) {
            places_[i].side = &sides_[i];
            places_[i].look_again = 3600 * nanoseconds_per_second;
        }
    }
    static void look(WaitPlace& place, bool thorough) { place.status = place.side->look(thorough); }
    // As a wait set's try_wait that finds nothing. False: something is there.
    bool arm() {
        watch_->clear();
        if (!ManyWaits::prepare(places_, false, look)) return false;
        watch_->arm(places_);
        return true;
    }
    // The time is a watchdog's.
    bool tells(int most_ms = 20'000) const {
        pollfd event{watch_->descriptor(), POLLIN, 0};
        return ::poll(&event, 1, most_ms) == 1;
    }
    bool anybody_waits() {
        return shm::anybody_waits(queues_[0].header().items) ||
               shm::anybody_waits(queues_[1].header().items);
    }

    TestQueue queues_[2];
    ReceiveSide sides_[2] = {queues_[0].consumer(), queues_[1].consumer()};
    SendSide producer_ = queues_[1].producer();
    WaitPlace places_[2];
    std::unique_ptr<ReadyWatch> watch_ = ReadyWatch::start();
};

TEST_F(ReadyWatchTest, LeavesNobodyRegisteredWhenItIsRecalled) {
    ASSERT_TRUE(watch_);
    for (int round = 0; round < 100; ++round) {
        ASSERT_TRUE(arm());
        EXPECT_TRUE(anybody_waits());
        watch_->disarm();
        EXPECT_FALSE(anybody_waits());
    }
}

TEST_F(ReadyWatchTest, ToldOfEveryMessageHoweverTheyMeet) {
    const std::uint64_t seed = support::test_seed("ready_watch");
    constexpr unsigned messages = 2000;
    std::thread sender([&] {
        std::mt19937_64 random(seed);
        for (unsigned sent = 0; sent < messages; ++sent) {
            while (send_text(producer_, "m") != SendStatus::sent)
                std::this_thread::yield();
            if (random() % 4 == 0)
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 100));
        }
    });
    std::mt19937_64 random(seed + 1);
    for (unsigned received = 0; received < messages;) {
        if (arm()) {
            const bool recalls = random() % 4 == 0;
            EXPECT_TRUE(recalls || tells());
            watch_->disarm();
        }
        while (!receive_text(sides_[1]).empty())
            ++received;
    }
    sender.join();
    EXPECT_FALSE(anybody_waits());
}

}  // namespace
}  // namespace shmq

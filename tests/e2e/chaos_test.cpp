// Total-queue chaos: real producers and consumers, killed and stopped at random, and books at the
// end. Whatever died when: what was sent is delivered and acked, nothing acked comes again, content
// is whole, every duplicate is marked.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <shmq/client.hpp>
#include <thread>
#include <vector>

#include "client/session.hpp"
#include "e2e/chaos/books.hpp"
#include "e2e/chaos/roles.hpp"
#include "shm/audit.hpp"
#include "support/private_daemon.hpp"
#include "support/seed.hpp"

namespace shmq::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

struct Cast {
    const char* name;
    QueueOptions options;
    std::uint32_t producers;
    std::uint32_t consumers;
    std::uint32_t payload_most;
};

class Actor {
  public:
    Actor(std::function<int(std::uint64_t)> part, std::mt19937_64& random)
        : part_(std::move(part)), random_(random) {
        start();
    }
    void start() {
        const std::uint64_t seed = random_();
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::_Exit(part_(seed));
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    void stop_for(milliseconds time) {
        ::kill(pid_, SIGSTOP);
        std::this_thread::sleep_for(time);
        ::kill(pid_, SIGCONT);
    }
    int wait() {
        int status = -1;
        ::waitpid(pid_, &status, 0);
        return status;
    }

  private:
    std::function<int(std::uint64_t)> part_;
    std::mt19937_64& random_;
    pid_t pid_ = -1;
};

// Kills and stops until the time is up. Returns how many were killed.
int play_havoc(std::vector<Actor>& actors, std::mt19937_64& random, milliseconds time) {
    int kills = 0;
    const auto end = steady_clock::now() + time;
    while (steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
        Actor& victim = actors[random() % actors.size()];
        if (random() % 4 == 0) {
            victim.stop_for(milliseconds(1 + random() % 100));
        } else {
            victim.kill();
            victim.start();
            ++kills;
        }
    }
    return kills;
}

// Waits until nothing is left to deliver; false if that does not come about.
bool drained(Client& client, const std::string& queue) {
    const auto end = steady_clock::now() + seconds(60);
    while (steady_clock::now() < end) {
        const auto info = client.describe(queue);
        if (!info) return false;
        if (info->ready + info->leased + info->returned == 0) return true;
        std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
}

class ChaosTest : public testing::TestWithParam<Cast> {};

TEST_P(ChaosTest, LosesNothing) {
    const Cast& cast = GetParam();
    std::mt19937_64 random(support::test_seed(cast.name));
    support::PrivateDaemon daemon;
    Books& books = Books::create();
    const Play play{daemon.socket(), "chaos", &books, cast.payload_most};
    auto client = value_or_throw(Client::connect({.socket = daemon.socket()}));
    value_or_throw(client.create(play.queue, cast.options));

    std::vector<Actor> actors;
    actors.reserve(cast.producers + cast.consumers);
    for (std::uint32_t i = 0; i < cast.producers; ++i) {
        actors.emplace_back([&play, i](std::uint64_t seed) { return produce(play, i, seed); },
                            random);
    }
    for (std::uint32_t i = 0; i < cast.consumers; ++i) {
        actors.emplace_back([&play](std::uint64_t seed) { return consume(play, seed); }, random);
    }
    const int kills = play_havoc(actors, random, support::test_all() ? seconds(150) : seconds(6));

    books.stop_producing = true;
    for (std::uint32_t i = 0; i < cast.producers; ++i)
        EXPECT_EQ(actors[i].wait(), 0);
    EXPECT_TRUE(drained(client, play.queue)) << daemon.log();
    books.stop_consuming = true;
    for (std::uint32_t i = 0; i < cast.consumers; ++i) {
        EXPECT_EQ(actors[cast.producers + i].wait(), 0);
    }

    const Totals totals = add_up(books);
    std::printf("%s: %d kills\n%s", cast.name, kills, describe(totals, books).c_str());
    EXPECT_GT(kills, 10);
    EXPECT_GT(totals.sent, 1000u);
    EXPECT_EQ(totals.lost, 0u);
    EXPECT_EQ(totals.unacked, 0u);
    EXPECT_EQ(books.damaged, 0u);
    EXPECT_EQ(books.after_ack, 0u);
    EXPECT_EQ(books.unmarked_duplicates, 0u);
    auto seen = SessionAccess::of(client)->observe(play.queue);
    ASSERT_TRUE(seen.ok()) << seen.error().message();
    const auto violations = shm::audit(*seen->segment, true);
    EXPECT_TRUE(violations.empty()) << violations.front();
    EXPECT_EQ(shm::count_states(*seen->segment).blocks_used, 0u);
}

QueueOptions options(bool exclusive_producer, bool exclusive_consumer) {
    QueueOptions options;
    options.capacity = 64;
    options.lease = seconds(2);
    options.exclusive_producer = exclusive_producer;
    options.exclusive_consumer = exclusive_consumer;
    options.in_flight = 8;
    return options;
}

INSTANTIATE_TEST_SUITE_P(
    Chaos, ChaosTest,
    testing::Values(Cast{"Shared", options(false, false), 3, 3, 32},
                    Cast{"SharedWithBlocks", options(false, false), 3, 3, 5000},
                    Cast{"ExclusiveBoth", options(true, true), 1, 1, 2000},
                    Cast{"ExclusiveProducer", options(true, false), 1, 3, 32},
                    Cast{"ExclusiveConsumer", options(false, true), 3, 1, 2000}),
    [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace shmq::chaos

// The daemon dies again and again under full load: what its clients notice.
#include <thread>

#include "e2e/stream.hpp"
#include "e2e/survivor.hpp"

namespace shmq::daemon::test {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// The longest time in which a stream delivered nothing, looked at a thousand times a second.
class PauseMeter {
  public:
    explicit PauseMeter(const Stream& stream) : stream_(stream), thread_([this] { run(); }) {}
    double stop_ms() {
        stop_ = true;
        thread_.join();
        return std::chrono::duration<double, std::milli>(longest_).count();
    }

  private:
    void run() {
        auto since = Clock::now();
        for (std::uint64_t seen = stream_.tally().received; !stop_;) {
            std::this_thread::sleep_for(milliseconds(1));
            const std::uint64_t now = stream_.tally().received;
            longest_ = std::max(longest_, Clock::now() - since);
            if (std::exchange(seen, now) != now) since = Clock::now();
        }
    }

    const Stream& stream_;
    Clock::duration longest_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// Three kills; sixty, once a second, in the long form.
TEST(Outage, a_daemon_that_dies_once_a_second_costs_nothing) {
    const bool all = std::getenv("SHMQ_TEST_ALL") != nullptr;
    const int kills = all ? 60 : 3;
    TemporaryDirectory directory;
    Survivor survivor(directory);
    survivor.daemon();
    auto client = value_or_throw(shmq::Client::connect({.socket = survivor.socket()}));
    QueueOptions exclusive;
    exclusive.exclusive_producer = true;
    exclusive.exclusive_consumer = true;
    value_or_throw(client.create("shared"));
    value_or_throw(client.create("exclusive", exclusive));
    value_or_throw(client.create("held"));
    auto holder = value_or_throw(client.consumer("held"));
    std::vector<Message> held;
    auto giver = value_or_throw(client.producer("held"));
    for (int i = 0; i < 5; ++i) {
        value_or_throw(giver.send("held through all of it"));
        held.push_back(value_or_throw(holder.receive()));
    }
    Stream shared(survivor.socket(), "shared");
    Stream alone(survivor.socket(), "exclusive");
    EXPECT_TRUE(shared.goes_on() && alone.goes_on());
    PauseMeter shared_pause(shared);
    PauseMeter alone_pause(alone);
    std::uint64_t while_down = 0;
    for (int kill = 0; kill < kills; ++kill) {
        const auto due = Clock::now() + (all ? milliseconds(1000) : milliseconds(100));
        const pid_t keeper = survivor.keeper();
        const pid_t dead = survivor.daemon();
        // A keeper that is stopped starts nobody, so the daemon is down until it goes on.
        ::kill(keeper, SIGSTOP);
        ::kill(dead, SIGKILL);
        EXPECT_TRUE(eventually([&] { return !descendants().contains(dead); }));
        const std::uint64_t before = shared.tally().received + alone.tally().received;
        EXPECT_TRUE(shared.goes_on()) << "outage " << kill;
        EXPECT_TRUE(alone.goes_on()) << "outage " << kill;
        while_down += shared.tally().received + alone.tally().received - before;
        ::kill(keeper, SIGCONT);
        EXPECT_NE(survivor.daemon(), dead);
        EXPECT_TRUE(shared.goes_on() && alone.goes_on());
        std::this_thread::sleep_until(due);
    }
    const double pauses[] = {shared_pause.stop_ms(), alone_pause.stop_ms()};
    shared.finish();
    alone.finish();
    for (const auto& [name, stream, pause] :
         {std::tuple("shared", &shared, pauses[0]), std::tuple("exclusive", &alone, pauses[1])}) {
        const auto info = value_or_throw(client.describe(name));
        std::printf("%-9s  %d outages  sent %lu  acked %lu  longest pause %.0f ms\n", name, kills,
                    info.sent, info.acked, pause);
        EXPECT_EQ(info.sent, stream->tally().sent);
        EXPECT_EQ(info.acked, stream->tally().sent);
        EXPECT_EQ(info.redelivered, 0u);
        EXPECT_EQ(info.ready + info.leased + info.returned, 0u);
    }
    for (Message& message : held)
        EXPECT_TRUE(message.ack().ok());
    EXPECT_EQ(value_or_throw(client.describe("held")).acked, 5u);
    std::printf("%lu messages while there was no daemon\n", while_down);
    EXPECT_EQ(value_or_throw(client.status()).restarts, static_cast<std::uint32_t>(kills));
}

}  // namespace
}  // namespace shmq::daemon::test

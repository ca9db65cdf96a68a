// Clients in other namespaces that share only the socket; and clients that fork, exec, lose threads
// and end without a word.
#include <sched.h>
#include <sys/mount.h>

#include <optional>
#include <thread>

#include "client/session.hpp"
#include "e2e/survivor.hpp"
#include "support/namespaces.hpp"

#ifndef CLONE_NEWTIME  // Linux 5.6
#define CLONE_NEWTIME 0x00000080
#endif

namespace shmq::daemon::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using support::Neighbour;
using support::Steps;
using support::Surroundings;

constexpr uid_t stranger = 54321;

QueueOptions for_everybody() {
    QueueOptions options;
    options.mode = 0777;
    return options;
}

shmq::Client connect_to(const std::string& socket) {
    return value_or_throw(shmq::Client::connect({.socket = socket}));
}

std::vector<Message> take(Consumer& consumer, int count) {
    std::vector<Message> held;
    for (int i = 0; i < count; ++i)
        held.push_back(value_or_throw(consumer.receive_for(seconds(20))));
    return held;
}

class NeighboursTest : public testing::Test {
  protected:
    void SetUp() override { survivor_.daemon(); }

    shmq::Client connect() { return connect_to(survivor_.socket()); }
    // Six messages, the last of them too large for a slot, from a producer that is gone again.
    void send_six() {
        auto client = connect();
        auto producer = value_or_throw(client.producer("q"));
        for (int i = 0; i < 5; ++i)
            value_or_throw(producer.send("m"));
        value_or_throw(producer.send(std::string(50'000, 'x')));
    }
    bool comes_to(const std::function<bool(const QueueInfo&)>& wanted) {
        auto client = connect();
        return eventually([&] {
            const auto info = client.describe("q");
            return info.ok() && wanted(*info);
        });
    }

    TemporaryDirectory directory_;
    Survivor survivor_{directory_};
};

// ---- Namespaces --------------------------------------------------------------------------------

struct Place {
    const char* name;
    int namespaces;
    bool alone;  // with nothing but the socket's directory
    uid_t uid;
};

class Neighbours : public NeighboursTest, public testing::WithParamInterface<Place> {
  protected:
    void SetUp() override {
        const Place& place = GetParam();
        there_.namespaces = place.namespaces;
        there_.uid = place.uid;
        socket_ = survivor_.socket();
        if (place.alone) {
            there_.root = directory_ / "root";
            there_.shared = directory_ / ".";
            socket_ = "/run/socket";
        }
        if (const std::string why = support::why_not(there_); !why.empty()) GTEST_SKIP() << why;
        NeighboursTest::SetUp();
        value_or_throw(connect().create("q", for_everybody()));
        send_six();
    }

    Surroundings there_;
    std::string socket_;
};

TEST_P(Neighbours, the_dead_are_noticed) {
    Neighbour mourned(there_, [&](Steps& steps) {
        auto client = connect_to(socket_);
        auto consumer = value_or_throw(client.consumer("q"));
        auto held = take(consumer, 4);
        value_or_throw(held.front().ack());
        steps.reach(1);
        steps.wait_for_leave(1);
        return 0;
    });
    ASSERT_TRUE(mourned.reaches(1)) << survivor_.log();
    EXPECT_TRUE(comes_to([](const auto& q) { return q.leased == 3 && q.consumers == 1; }));
    mourned.kill();
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.leased == 0 && q.returned == 3 && q.ready == 2 && q.consumers == 0;
    })) << survivor_.log();
    EXPECT_EQ(value_or_throw(connect().status()).deaths, 1u);
}

TEST_P(Neighbours, they_outlive_the_daemon_and_bring_their_queues_back) {
    Neighbour lasting(there_, [&](Steps& steps) {
        auto client = connect_to(socket_);
        auto producer = value_or_throw(client.producer("q"));
        auto consumer = value_or_throw(client.consumer("q"));
        auto held = take(consumer, 6);
        for (int step = 1; step <= 2; ++step) {
            steps.reach(step);
            steps.wait_for_leave(step);
            value_or_throw(client.describe("q"));
            value_or_throw(held.back().extend());
            value_or_throw(held.back().ack());
            held.pop_back();
            value_or_throw(producer.send(std::string(60'000, 'y')));
        }
        steps.reach(3);
        steps.wait_for_leave(3);
        return 0;
    });
    ASSERT_TRUE(lasting.reaches(1)) << survivor_.log();
    survivor_.kill_daemon();
    lasting.allow(1);
    ASSERT_TRUE(lasting.reaches(2)) << survivor_.log();
    survivor_.kill_both();
    survivor_.start();
    lasting.allow(2);
    ASSERT_TRUE(lasting.reaches(3)) << survivor_.log();
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.leased == 4 && q.ready == 2 && q.acked == 2 && q.producers == 1;
    })) << survivor_.log();
    lasting.allow(3);
    EXPECT_EQ(lasting.ends(), 0);
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.leased == 0 && q.ready + q.returned == 6 && q.producers + q.consumers == 0;
    })) << survivor_.log();
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Neighbours,
                         testing::Values(Place{"pid", CLONE_NEWPID, false, 0},
                                         Place{"mount", CLONE_NEWNS, true, 0},
                                         Place{"user", CLONE_NEWUSER, false, stranger},
                                         Place{"container",
                                               CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUSER |
                                                   CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS |
                                                   CLONE_NEWCGROUP,
                                               true, stranger}),
                         [](const auto& tested) { return std::string(tested.param.name); });

// ---- Pids that say nothing ---------------------------------------------------------------------

// From here on this process is a child that is the first of a pid namespace with its own /proc.
void go_to_a_pid_namespace() {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(98);
    const pid_t first = ::fork();
    if (first != 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        int status = 0;
        while (::waitpid(first, &status, 0) < 0) {
        }
        ::_exit(0);
    }
    const bool mounted = ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("proc", "/proc", "proc", 0, nullptr) == 0;
    if (!mounted) ::_exit(98);
}

// The daemon, and each client, is in a pid namespace of its own: to the daemon every client is
// process 0, to itself each is process 1.
class PidsThatSayNothing : public testing::Test {
  protected:
    void SetUp() override {
        const std::string why = support::why_not({.namespaces = CLONE_NEWPID | CLONE_NEWNS});
        if (!why.empty()) GTEST_SKIP() << why;
        elsewhere_.emplace(directory_, go_to_a_pid_namespace);
        value_or_throw(patient_client().create("q"));
    }
    shmq::Client patient_client() {
        std::optional<shmq::Client> client;
        EXPECT_TRUE(eventually([&] {
            auto connected = shmq::Client::connect({.socket = elsewhere_->socket()});
            if (connected) client.emplace(std::move(*connected));
            return client.has_value();
        })) << elsewhere_->log();
        return std::move(client.value());
    }
    // Holds two messages; at the second step it acks them.
    std::function<int(Steps&)> holder() {
        return [this](Steps& steps) {
            if (::getpid() != 1) return 1;
            auto client = connect_to(elsewhere_->socket());
            auto consumer = value_or_throw(client.consumer("q"));
            auto held = take(consumer, 2);
            steps.reach(1);
            steps.wait_for_leave(1);
            for (Message& message : held)
                value_or_throw(message.ack());
            value_or_throw(client.describe("q"));
            steps.reach(2);
            steps.wait_for_leave(2);
            return 0;
        };
    }
    // Not by what the daemon says of itself: it does not know how we call it.
    static void kill_one(const std::string& name) {
        const pid_t pid = descendant_named(name);
        ASSERT_GT(pid, 1);
        ::kill(pid, SIGKILL);
        EXPECT_TRUE(eventually([&] { return !descendants().contains(pid); }));
    }

    const Surroundings there_{.namespaces = CLONE_NEWPID};
    TemporaryDirectory directory_;
    std::optional<Survivor> elsewhere_;
};

TEST_F(PidsThatSayNothing, each_death_is_one_clients) {
    auto client = patient_client();
    auto producer = value_or_throw(client.producer("q"));
    for (int i = 0; i < 6; ++i)
        value_or_throw(producer.send("m"));
    Neighbour one(there_, holder());
    Neighbour other(there_, holder());
    Neighbour third(there_, holder());
    ASSERT_TRUE(one.reaches(1) && other.reaches(1) && third.reaches(1)) << elsewhere_->log();
    one.kill();
    const auto comes_to = [&](std::uint64_t leased, std::uint64_t returned, std::uint32_t there) {
        EXPECT_TRUE(eventually([&] {
            const auto q = client.describe("q");
            return q && q->leased == leased && q->returned == returned && q->consumers == there;
        })) << leased
            << ' ' << returned << ' ' << elsewhere_->log();
    };
    comes_to(4, 2, 2);
    EXPECT_NE(elsewhere_->log().find("process 0 ("), std::string::npos) << elsewhere_->log();
    kill_one("shmqd");
    comes_to(4, 2, 2);  // by kept pidfds: the numbers are all 0
    other.kill();
    comes_to(2, 4, 1);
    third.allow(1);
    ASSERT_TRUE(third.reaches(2)) << elsewhere_->log();
    comes_to(0, 4, 1);
    third.allow(2);
    EXPECT_EQ(third.ends(), 0);
    comes_to(0, 4, 0);
    EXPECT_EQ(value_or_throw(client.status()).restarts, 1u);
}

TEST_F(PidsThatSayNothing, both_killed_a_client_gets_its_own_messages_back) {
    auto client = patient_client();
    {
        auto producer = value_or_throw(client.producer("q"));
        for (int i = 0; i < 4; ++i)
            value_or_throw(producer.send("m"));
    }
    Neighbour one(there_, holder());
    Neighbour other(there_, holder());
    ASSERT_TRUE(one.reaches(1) && other.reaches(1)) << elsewhere_->log();
    // The first of its namespace: the daemon dies with it.
    kill_one("shmq-keeper");
    elsewhere_->wait_until_nobody_is_left();
    elsewhere_->start();
    one.allow(1);
    other.allow(1);
    ASSERT_TRUE(one.reaches(2) && other.reaches(2)) << elsewhere_->log();
    EXPECT_TRUE(eventually([&] {
        const auto q = client.describe("q");
        return q && q->leased == 0 && q->returned == 0 && q->acked == 4 && q->consumers == 2;
    })) << elsewhere_->log();
    one.kill();
    EXPECT_TRUE(eventually([&] {
        const auto q = client.describe("q");
        return q && q->consumers == 1;
    })) << elsewhere_->log();
}

// ---- Another clock -----------------------------------------------------------------------------

class AnotherClock : public NeighboursTest, public testing::WithParamInterface<long> {};

// Ahead by a day, or behind by an hour or half of the time that this machine is up.
TEST_P(AnotherClock, moves_no_lease_and_no_delay) {
    const long up_s = monotonic_now() / nanoseconds_per_second;
    const Surroundings there{.namespaces = CLONE_NEWTIME,
                             .monotonic_ahead_s = std::max(GetParam(), -up_s / 2)};
    if (const std::string why = support::why_not(there); !why.empty()) GTEST_SKIP() << why;
    value_or_throw(connect().create("q"));
    send_six();
    const Nanoseconds outside = monotonic_now();
    Neighbour neighbour(there, [&](Steps& steps) {
        const Nanoseconds ahead = (monotonic_now() - outside) / nanoseconds_per_second;
        if (std::abs(ahead - there.monotonic_ahead_s) > 600) return 1;
        auto client = connect();
        auto consumer = value_or_throw(client.consumer("q"));
        auto held = take(consumer, 6);
        value_or_throw(held[0].extend(std::chrono::minutes(30)));
        value_or_throw(held[1].nack(std::chrono::minutes(30)));
        value_or_throw(held[2].extend());
        const auto timed_out = consumer.receive_for(milliseconds(100));
        if (timed_out.condition() != Condition::timed_out) return 2;
        steps.reach(1);
        steps.wait_for_leave(1);
        value_or_throw(held[0].ack());
        return 0;
    });
    ASSERT_TRUE(neighbour.reaches(1)) << survivor_.log();
    auto client = connect();
    const auto session = SessionAccess::of(client);
    std::uint64_t extended_left = 0;
    std::uint64_t delayed_left = 0;
    EXPECT_TRUE(eventually([&] {
        for (const wire::Pending& each : value_or_throw(session->pending("q"))) {
            if (each.sequence == 0) extended_left = each.lease_left_ns.value_or(0);
            if (each.sequence == 1) delayed_left = each.due_in_ns.value_or(0);
        }
        return delayed_left > 0;
    }));
    constexpr auto minute = 60 * static_cast<std::uint64_t>(nanoseconds_per_second);
    for (const std::uint64_t left : {extended_left, delayed_left}) {
        EXPECT_GT(left, 20 * minute);
        EXPECT_LE(left, 31 * minute);
    }
    const auto info = value_or_throw(client.describe("q"));
    EXPECT_EQ(info.expired, 0u);
    EXPECT_EQ(info.leased, 5u);
    EXPECT_EQ(info.delayed, 1u);
    neighbour.allow(1);
    EXPECT_EQ(neighbour.ends(), 0);
}

INSTANTIATE_TEST_SUITE_P(Clocks, AnotherClock, testing::Values(86'400L, -3600L),
                         [](const auto& tested) { return tested.param > 0 ? "ahead" : "behind"; });

// ---- What a process may do ---------------------------------------------------------------------

TEST_F(NeighboursTest, an_exit_without_a_word_gives_everything_back) {
    value_or_throw(connect().create("q"));
    send_six();
    Neighbour leaving({}, [&](Steps&) {
        auto client = connect();
        auto producer = value_or_throw(client.producer("q"));
        auto consumer = value_or_throw(client.consumer("q"));
        auto held = take(consumer, 3);
        auto loan = value_or_throw(producer.loan(50'000));
        ::_exit(7);
        return 0;
    });
    EXPECT_EQ(leaving.ends(), 7);
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.returned == 3 && q.ready == 3 && q.producers + q.consumers == 0;
    })) << survivor_.log();
    EXPECT_NE(survivor_.log().find("1 block"), std::string::npos) << survivor_.log();
}

TEST_F(NeighboursTest, exec_gives_leases_back_and_numbers_at_the_end) {
    value_or_throw(connect().create("q"));
    send_six();
    Neighbour changing({}, [&](Steps& steps) {
        auto client = connect();
        auto producer = value_or_throw(client.producer("q"));
        auto consumer = value_or_throw(client.consumer("q"));
        auto held = take(consumer, 3);
        steps.reach(1);
        ::execlp("sleep", "sleep", "1000", nullptr);
        return 1;
    });
    ASSERT_TRUE(changing.reaches(1));
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.leased == 0 && q.returned == 3 && q.producers == 1 && q.consumers == 1;
    })) << survivor_.log();
    changing.kill();
    EXPECT_TRUE(comes_to([](const auto& q) { return q.producers + q.consumers == 0; }));
}

TEST_F(NeighboursTest, handles_outlive_the_thread_that_made_them) {
    auto client = connect();
    value_or_throw(client.create("q"));
    send_six();
    std::optional<Producer> producer;
    std::optional<Consumer> consumer;
    std::optional<Message> message;
    std::optional<Loan> loan;
    std::thread([&] {
        auto own = connect();
        producer = value_or_throw(own.producer("q"));
        consumer = value_or_throw(own.consumer("q"));
        message = value_or_throw(consumer->receive());
        loan = value_or_throw(producer->loan(50'000));
    }).join();
    survivor_.kill_daemon();
    EXPECT_TRUE(message->still_held());
    EXPECT_TRUE(message->ack().ok());
    EXPECT_TRUE(producer->send(std::move(*loan)).ok());
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.ready == 6 && q.acked == 1 && q.producers == 1 && q.consumers == 1;
    })) << survivor_.log();
}

// A fork from among threads that sleep in receive, that send, and that are being brought back;
// while messages and a loan are held.
TEST_F(NeighboursTest, a_fork_in_the_midst_of_everything_disturbs_nothing) {
    auto client = connect();
    value_or_throw(client.create("q"));
    value_or_throw(client.create("empty"));
    send_six();
    auto producer = value_or_throw(client.producer("q"));
    auto consumer = value_or_throw(client.consumer("q"));
    auto sleeper = value_or_throw(client.consumer("empty"));
    auto busy = value_or_throw(client.producer("q"));
    auto held = take(consumer, 3);
    auto loan = value_or_throw(producer.loan(50'000));
    std::atomic<bool> stop{false};
    std::uint64_t sent = 0;
    std::thread sends([&] {
        while (!stop && sent < 500) {
            EXPECT_TRUE(busy.send("m").ok());
            ++sent;
        }
    });
    std::string woken;
    std::thread sleeps([&] { woken = value_or_throw(sleeper.receive()).text(); });
    for (int round = 0; round < 8; ++round) {
        if (round == 4) ::kill(survivor_.daemon(), SIGKILL);
        const pid_t child = ::fork();
        if (child == 0) {
            const bool told = producer.send("x").condition() == Condition::forked &&
                              held[0].ack().condition() == Condition::forked;
            { auto ended = std::move(loan); }
            held.clear();
            { auto ended = std::move(consumer); }
            { auto ended = std::move(client); }
            ::_exit(told ? 0 : 1);
        }
        EXPECT_EQ(wait_for(child), 0);
    }
    for (Message& message : held)
        EXPECT_TRUE(message.ack().ok());
    EXPECT_TRUE(producer.send(std::move(loan)).ok());
    value_or_throw(value_or_throw(client.producer("empty")).send("wake up"));
    sleeps.join();
    stop = true;
    sends.join();
    EXPECT_EQ(woken, "wake up");
    EXPECT_TRUE(comes_to([&](const auto& q) {
        return q.acked == 3 && q.leased == 0 && q.ready == 4 + sent && q.producers == 2;
    })) << survivor_.log();
}

}  // namespace
}  // namespace shmq::daemon::test

// A real daemon that can be killed at every system call of what it does for a client of the public
// library, and what must be true afterwards.
#pragma once

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <shmq/client.hpp>

#include "step/daemon/system_calls.hpp"
#include "support/private_daemon.hpp"
#include "support/seed.hpp"

namespace shmq::step {
using namespace std::chrono_literals;

// Of the instants, where not all are asked for.
constexpr std::uint64_t quick_clients = 12;
constexpr std::uint64_t quick_daemons = 6;
constexpr std::uint64_t kills_of_one_keeper = 6;
constexpr auto patience = 20s;

// What the client has said so far; shared with the harness.
struct Told {
    bool send_began, sent, received, ack_began, acked;
};

inline Told& told() {
    static auto* page = static_cast<Told*>(
        ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    return *page;
}

constexpr const char* queue_name = "step/queue";
constexpr const char* its_message = "the client's";
constexpr const char* our_message = "the harness's";

template <typename Condition>
bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(200us);
    }
    return true;
}

inline ConnectOptions options_for(const std::string& socket) {
    ConnectOptions options;
    options.socket = socket;
    return options;
}

// Everything that a client does, from connect to detach. 0: all of it went as it should.
inline int be_a_client(const std::string& socket) {
    auto client = Client::connect(options_for(socket));
    if (!client) return 1;
    auto producer = client->producer(queue_name);
    if (!producer) return 2;
    told().send_began = true;
    if (!producer->send(its_message)) return 3;
    told().sent = true;
    auto consumer = client->consumer(queue_name);
    if (!consumer) return 4;
    auto message = consumer->receive();
    if (!message || message->text() != its_message) return 5;
    told().received = true;
    told().ack_began = true;
    if (!message->ack()) return 6;
    told().acked = true;
    return 0;
}

class DaemonStepTest : public testing::Test {
  protected:
    void SetUp() override { renew_daemon(); }

    // A keeper whose daemon dies again and again waits longer each time: it is replaced in time.
    void renew_daemon() {
        client_.reset();
        daemon_.reset();
        daemon_.emplace();
        auto made = Client::connect(options_for(daemon_->socket()));
        ASSERT_TRUE(made) << made.error().message();
        client_.emplace(std::move(made).value());
    }

    void make_queue(bool exclusive, Durability durability = Durability::accepted) {
        QueueOptions options;
        options.durability = durability;
        options.capacity = 64;
        options.exclusive_producer = options.exclusive_consumer = exclusive;
        // A daemon that died in the middle of the call may have made it.
        ASSERT_TRUE(eventually([&] { return bool(client_->declare(queue_name, options)); }));
    }

    // Nobody is attached, and nobody's role is taken.
    void expect_no_participant_left() {
        QueueInfo info;
        EXPECT_TRUE(eventually([&] {
            auto described = client_->describe(queue_name);
            if (!described) return false;
            info = *described;
            return info.producers == 0 && info.consumers == 0;
        })) << info.producers
            << " producers, " << info.consumers << " consumers left";
        EXPECT_FALSE(info.quarantined);
    }

    // Sends one, takes whatever is there, and compares it with what the client had said.
    void expect_books(const Told& said) {
        std::multiset<std::string> arrived;
        {
            auto producer = client_->producer(queue_name);
            ASSERT_TRUE(producer) << producer.error().message();
            ASSERT_TRUE(producer->send(our_message));
            auto consumer = client_->consumer(queue_name);
            ASSERT_TRUE(consumer) << consumer.error().message();
            for (;;) {
                auto message = consumer->try_receive();
                ASSERT_TRUE(message);
                if (!message->has_value()) break;
                arrived.insert(std::string((*message)->text()));
                ASSERT_TRUE((*message)->ack());
            }
        }
        EXPECT_EQ(arrived.count(our_message), 1u);
        const std::size_t its = arrived.count(its_message);
        EXPECT_LE(its, 1u);
        EXPECT_TRUE(its == 0 || (said.send_began && !said.acked));
        EXPECT_TRUE(its == 1 || !said.sent || said.ack_began);
        const auto info = client_->describe(queue_name);
        ASSERT_TRUE(info);
        EXPECT_EQ(info->ready + info->leased + info->returned, 0u);
    }

    void check(const std::string& where) {
        SCOPED_TRACE(where);
        expect_no_participant_left();
        expect_books(told());
    }

    // Goes to the client's instant. False: there are not so many.
    static bool go_to(SystemCalls& process, std::uint64_t instant) {
        for (std::uint64_t i = 0; i < instant; ++i) {
            if (!process.next()) return false;
        }
        return true;
    }
    std::uint64_t count_instants() {
        SystemCalls process([this] { return be_a_client(daemon_->socket()); });
        std::uint64_t instants = 0;
        while (process.next())
            ++instants;
        return instants;
    }
    // Which of them are tried: all, or so many from a printed seed.
    static std::vector<std::uint64_t> choose(std::uint64_t instants, std::uint64_t quick) {
        std::vector<std::uint64_t> chosen;
        if (const char* only = std::getenv("SHMQ_STEP_INSTANT")) {
            return {std::strtoull(only, nullptr, 10)};
        }
        if (support::test_all() || instants <= quick) {
            for (std::uint64_t i = 0; i < instants; ++i)
                chosen.push_back(i);
            return chosen;
        }
        std::mt19937_64 random(support::test_seed("daemon steps"));
        for (std::uint64_t i = 0; i < quick; ++i)
            chosen.push_back(random() % instants);
        return chosen;
    }
    static std::string at(std::uint64_t instant) {
        return "instant " + std::to_string(instant) +
               "; this one alone: SHMQ_STEP_INSTANT=" + std::to_string(instant);
    }

    using Body = int (*)(const std::string& socket);
    // Kills the daemon at that instant of its work for a client, whose `body` must end well.
    // Returns how many instants there were: fewer, where it was not killed.
    std::uint64_t kill_daemon_at(std::uint64_t instant, Body body = be_a_client) {
        told() = {};
        const auto status = client_->status();
        EXPECT_TRUE(status);
        if (!status) return 0;
        SystemCalls daemon(static_cast<pid_t>(status->pid));
        const pid_t child = ::fork();
        if (child == 0) ::_exit(body(daemon_->socket()));
        int end = 0;
        bool ended = false;
        const auto still_there = [&] {
            ended = ended || ::waitpid(child, &end, WNOHANG) == child;
            return !ended;
        };
        std::uint64_t reached = 0;
        while (reached < instant && daemon.next(still_there))
            ++reached;
        if (reached == instant) {
            daemon.kill();
        } else {
            daemon.let_go();
        }
        EXPECT_TRUE(eventually([&] { return !still_there(); })) << "the client hangs";
        if (!ended) ::kill(child, SIGKILL);
        EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == 0) << "the client ended with " << end;
        return reached;
    }

    std::optional<support::PrivateDaemon> daemon_;
    std::optional<Client> client_;
};

}  // namespace shmq::step

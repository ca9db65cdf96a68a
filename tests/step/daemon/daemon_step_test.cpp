// A client killed and stopped at every system call from connect to detach, and the daemon killed at
// every system call of what it does for one; through the public library and a real daemon.
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
namespace {

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

Told& told() {
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

ConnectOptions options_for(const std::string& socket) {
    ConnectOptions options;
    options.socket = socket;
    return options;
}

// Everything that a client does, from connect to detach. 0: all of it went as it should.
int be_a_client(const std::string& socket) {
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

// Asks until it is so. 0: it is.
int make_the_queue(const std::string& socket) {
    return eventually([&] {
        auto client = Client::connect(options_for(socket));
        QueueOptions options;
        options.capacity = 64;
        return client && client->declare(queue_name, options);
    })
               ? 0
               : 1;
}

int remove_the_queue(const std::string& socket) {
    return eventually([&] {
        auto client = Client::connect(options_for(socket));
        if (!client) return false;
        const auto removed = client->remove(queue_name, true);
        return removed || removed.condition() == Condition::queue_not_found;
    })
               ? 0
               : 1;
}

int reject_a_message(const std::string& socket) {
    auto client = Client::connect(options_for(socket));
    if (!client) return 1;
    auto producer = client->producer(queue_name);
    if (!producer || !producer->send(its_message)) return 2;
    auto consumer = client->consumer(queue_name);
    if (!consumer) return 3;
    auto message = consumer->receive();
    if (!message || message->text() != its_message) return 4;
    if (!message->reject()) return 5;
    return 0;
}

// How many shared memories that process has open.
std::size_t memories_of(pid_t process) {
    std::size_t found = 0;
    std::error_code failed;
    const std::filesystem::path descriptors = "/proc/" + std::to_string(process) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(descriptors, failed)) {
        const auto target = std::filesystem::read_symlink(entry.path(), failed).string();
        found += target.starts_with("/memfd:") ? 1u : 0u;
    }
    return found;
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

    void make_queue(bool exclusive) {
        QueueOptions options;
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

class ClientStepTest : public DaemonStepTest, public testing::WithParamInterface<bool> {};

TEST_P(ClientStepTest, KilledFromConnectToDetach) {
    make_queue(GetParam());
    const std::uint64_t instants = count_instants();
    const auto chosen = choose(instants, quick_clients);
    for (const std::uint64_t instant : chosen) {
        told() = {};
        SystemCalls process([this] { return be_a_client(daemon_->socket()); });
        go_to(process, instant);
        process.kill();
        check(at(instant));
        if (HasFailure()) break;
    }
    std::printf("%llu instants, %zu real kills\n", static_cast<unsigned long long>(instants),
                chosen.size());
}

TEST_P(ClientStepTest, StoppedFromConnectToDetach) {
    const bool exclusive = GetParam();
    make_queue(exclusive);
    const std::uint64_t instants = count_instants();
    const auto chosen = choose(instants, quick_clients);
    for (const std::uint64_t instant : chosen) {
        SCOPED_TRACE(at(instant));
        told() = {};
        SystemCalls process([this] { return be_a_client(daemon_->socket()); });
        go_to(process, instant);
        // Others come and go meanwhile; a role that it holds alone is its own. What they take may
        // be the message it has just sent.
        {
            auto producer = client_->producer(queue_name);
            EXPECT_TRUE(producer || (exclusive && producer.condition() == Condition::role_taken));
            const bool in_use = told().send_began && !told().received;
            EXPECT_TRUE(!producer || in_use || producer->try_send(our_message));
            auto consumer = client_->consumer(queue_name);
            EXPECT_TRUE(consumer || (exclusive && consumer.condition() == Condition::role_taken));
            while (consumer && !in_use) {
                auto message = consumer->try_receive();
                ASSERT_TRUE(message);
                if (!message->has_value()) break;
                EXPECT_EQ((*message)->text(), our_message);
                EXPECT_TRUE((*message)->ack());
            }
        }
        const int status = process.run_to_end();
        EXPECT_EQ(status, 0);
        check(at(instant));
        if (HasFailure()) break;
    }
    std::printf("%llu instants, %zu stops\n", static_cast<unsigned long long>(instants),
                chosen.size());
}

INSTANTIATE_TEST_SUITE_P(Roles, ClientStepTest, testing::Bool(), [](const auto& one) {
    return std::string(one.param ? "Exclusive" : "Shared");
});

TEST_F(DaemonStepTest, DaemonKilledWhileItServesAClient) {
    make_queue(false);
    const std::uint64_t instants = kill_daemon_at(UINT64_MAX);
    check("undisturbed");
    std::uint64_t kills = 0;
    for (const std::uint64_t instant : choose(instants, quick_daemons)) {
        if (kills != 0 && kills % kills_of_one_keeper == 0) {
            renew_daemon();
            make_queue(false);
        }
        kills += kill_daemon_at(instant) == instant ? 1u : 0u;
        check(at(instant));
        if (HasFailure()) break;
    }
    std::printf("%llu instants, %llu daemons killed\n", static_cast<unsigned long long>(instants),
                static_cast<unsigned long long>(kills));
}

class ManagementStepTest : public DaemonStepTest {
  protected:
    // Kills the daemon at each instant (or some) of what it does for `body`; `prepare` before,
    // `check` after each. Keeper and daemon have as many memories open at the end as before.
    void kill_everywhere(Body body, const std::function<void()>& prepare,
                         const std::function<void()>& check) {
        const Memories before = memories();  // no queue is there yet: after each check, again
        prepare();
        const std::uint64_t instants = kill_daemon_at(UINT64_MAX, body);
        check();
        std::uint64_t kills = 0;
        for (const std::uint64_t instant : choose(instants, quick_daemons)) {
            SCOPED_TRACE(at(instant));
            if (kills != 0 && kills % kills_of_one_keeper == 0) renew_daemon();
            prepare();
            kills += kill_daemon_at(instant, body) == instant ? 1u : 0u;
            check();
            Memories after{};
            EXPECT_TRUE(eventually([&] { return (after = memories()) == before; }))
                << after.keeper << " memories in the keeper and " << after.daemon
                << " in the daemon; were " << before.keeper << " and " << before.daemon;
            if (HasFailure()) break;
        }
        std::printf("%llu instants, %llu daemons killed\n",
                    static_cast<unsigned long long>(instants),
                    static_cast<unsigned long long>(kills));
    }

    std::size_t queues_named(const std::string& name) {
        std::size_t found = 0;
        EXPECT_TRUE(eventually([&] {
            const auto listed = client_->list();
            if (!listed) return false;
            found = 0;
            for (const QueueInfo& info : *listed)
                found += info.name == name ? 1u : 0u;
            return true;
        }));
        return found;
    }
    void remove(const std::string& name) {
        EXPECT_TRUE(eventually([&] {
            const auto removed = client_->remove(name, true);
            return removed || removed.condition() == Condition::queue_not_found;
        })) << name;
    }

  private:
    struct Memories {
        std::size_t keeper, daemon;
        bool operator==(const Memories&) const = default;
    };
    Memories memories() {
        Memories found{memories_of(daemon_->keeper_pid()), 0};
        const auto status = client_->status();
        if (status) found.daemon = memories_of(static_cast<pid_t>(status->pid));
        return found;
    }
};

// Whoever does not know whether it made the queue asks again, and there is one.
TEST_F(ManagementStepTest, DaemonKilledWhileItMakesAQueue) {
    kill_everywhere(
        make_the_queue, [] {},
        [&] {
            EXPECT_EQ(queues_named(queue_name), 1u);
            told() = {};
            expect_no_participant_left();
            expect_books(told());
            remove(queue_name);
            EXPECT_EQ(queues_named(queue_name), 0u);
        });
}

TEST_F(ManagementStepTest, DaemonKilledWhileItRemovesAQueue) {
    kill_everywhere(
        remove_the_queue,
        [&] {
            make_queue(false);
            auto producer = client_->producer(queue_name);
            ASSERT_TRUE(producer && producer->send("goes with it"));
        },
        [&] {
            EXPECT_EQ(queues_named(queue_name), 0u);
            make_queue(false);  // another of that name has nothing of it
            told() = {};
            expect_books(told());
            remove(queue_name);
        });
}

// The dead-letter queue is made when the first letter comes, by whichever daemon that is.
TEST_F(ManagementStepTest, DaemonKilledWhileItMovesARejectedMessage) {
    const std::string dead_name = std::string(queue_name) + ".dlq";
    kill_everywhere(
        reject_a_message, [&] { make_queue(false); },
        [&] {
            expect_no_participant_left();
            EXPECT_TRUE(eventually([&] {
                const auto dead = client_->describe(dead_name);
                return dead && dead->ready + dead->returned == 1;
            })) << "it is not among the dead letters";
            const auto left = client_->describe(queue_name);
            EXPECT_TRUE(left && left->ready + left->leased + left->returned == 0);
            EXPECT_TRUE(left && left->dead_lettered == 1);
            {
                auto consumer = client_->consumer(dead_name);
                ASSERT_TRUE(consumer) << consumer.error().message();
                auto message = consumer->try_receive();
                ASSERT_TRUE(message && message->has_value());
                EXPECT_EQ((*message)->text(), its_message);
                EXPECT_TRUE((*message)->redelivered());
                const auto history = (*message)->history();
                ASSERT_TRUE(history);
                EXPECT_EQ(history->reason, "rejected");
                EXPECT_EQ(history->source, queue_name);
                EXPECT_TRUE((*message)->ack());
                auto another = consumer->try_receive();
                EXPECT_TRUE(another && !another->has_value()) << "it came twice";
            }
            remove(queue_name);
            remove(dead_name);
        });
}

}  // namespace
}  // namespace shmq::step

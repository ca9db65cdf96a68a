// The daemon dies, its keeper dies, both do: programs go on, sessions come back, nothing is lost.
#include <poll.h>
#include <sys/resource.h>

#include <optional>
#include <thread>

#include "client/session.hpp"
#include "e2e/stream.hpp"
#include "e2e/survivor.hpp"
#include "shm/audit.hpp"

namespace shmq::daemon::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Survival : public testing::Test {
  protected:
    shmq::Client connect_when_up() {
        survivor_.daemon();
        return connect();
    }
    shmq::Client connect() {
        return value_or_throw(shmq::Client::connect({.socket = survivor_.socket()}));
    }
    // Queue q, with five messages in it.
    static Producer create_with_five(shmq::Client& client) {
        value_or_throw(client.create("q"));
        auto producer = value_or_throw(client.producer("q"));
        for (int i = 0; i < 5; ++i)
            value_or_throw(producer.send("m"));
        return producer;
    }
    bool comes_to(const std::function<bool(const QueueInfo&)>& wanted) {
        auto client = connect_when_up();
        return eventually([&] {
            const auto info = client.describe("q");
            return info.ok() && wanted(*info);
        });
    }
    static QueueOptions small_ring() {
        QueueOptions options;
        options.capacity = 128;
        return options;
    }
    // A look at the queue's memory that can write it, as any of its users can.
    Attachment look_inside(shmq::Client& client) {
        auto attached = SessionAccess::of(client)->attach("q", shm::Role::producer);
        EXPECT_TRUE(attached.ok());
        return std::move(*attached);
    }
    // Makes the queue's memory name another process for the participant of `pid`.
    static void rename_participant(Attachment& inside, pid_t pid, pid_t other) {
        const shm::Segment& segment = *inside.segment;
        const shm::QueueView view(segment.ring_base(), segment.pool_base(), segment.geometry());
        for (const auto& each : shm::list_participants(segment)) {
            if (each.pid != static_cast<std::uint32_t>(pid)) continue;
            view.participants[each.number].pid.store(static_cast<std::uint32_t>(other));
            return;
        }
        ADD_FAILURE() << "no participant of " << pid;
    }
    // A child that takes `count` messages through the library, tells, and waits to be killed.
    pid_t start_consumer(
        std::uint32_t count, const std::function<void()>& then = [] {}) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        const Fd reader(ends[0]);
        const Fd writer(ends[1]);
        const pid_t pid = start_child([&] {
            auto client = connect();
            auto consumer = value_or_throw(client.consumer("q"));
            std::vector<Message> held;
            while (held.size() < count)
                held.push_back(value_or_throw(consumer.receive()));
            then();
            if (::write(writer.get(), "x", 1) != 1) return 96;
            for (;;)
                ::pause();
            return 0;
        });
        pollfd watched{reader.get(), POLLIN, 0};
        EXPECT_EQ(::poll(&watched, 1, 20'000), 1);
        return pid;
    }
    static void end(pid_t pid) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }

    void SetUp() override { survivor_.daemon(); }

    TemporaryDirectory directory_;
    Survivor survivor_{directory_};
};

TEST_F(Survival, a_daemon_killed_again_and_again_costs_a_stream_nothing) {
    value_or_throw(connect().create("q", small_ring()));
    Stream stream(survivor_.socket(), "q");
    for (int kill = 0; kill < 8; ++kill) {
        EXPECT_TRUE(stream.goes_on());
        survivor_.kill_daemon();
    }
    EXPECT_TRUE(stream.goes_on());
    EXPECT_TRUE(comes_to([](const auto& q) { return q.producers == 1 && q.consumers == 1; }));
    // Whoever ends before its session is back cannot detach, and counts as dead.
    EXPECT_TRUE(eventually([&] { return value_or_throw(connect().status()).sessions == 3; }));
    stream.finish();
    EXPECT_TRUE(comes_to([](const auto& q) { return q.producers + q.consumers == 0; }));
    const auto info = value_or_throw(connect().describe("q"));
    EXPECT_EQ(info.sent, stream.tally().sent);
    EXPECT_EQ(info.acked, stream.tally().sent);
    EXPECT_EQ(info.redelivered, 0u);
    const auto status = value_or_throw(connect().status());
    EXPECT_EQ(status.restarts, 8u);
    EXPECT_EQ(status.adopted, 1u);
    EXPECT_EQ(status.deaths, 0u);
}

TEST_F(Survival, a_stream_goes_on_while_nobody_is_there) {
    value_or_throw(connect().create("q"));
    Stream stream(survivor_.socket(), "q");
    ASSERT_TRUE(stream.goes_on());
    const pid_t keeper = survivor_.keeper();
    ::kill(keeper, SIGSTOP);
    ::kill(survivor_.daemon(), SIGKILL);
    for (int look = 0; look < 3; ++look)
        EXPECT_TRUE(stream.goes_on());
    ::kill(keeper, SIGCONT);
    EXPECT_TRUE(comes_to([](const auto& q) { return q.producers == 1 && q.consumers == 1; }));
    stream.finish();
}

TEST_F(Survival, a_keeper_that_is_killed_is_replaced_and_knows_everything) {
    auto client = connect();
    value_or_throw(client.create("q"));
    auto producer = value_or_throw(client.producer("q"));
    value_or_throw(producer.send("kept"));
    const pid_t dead = survivor_.keeper();
    ::kill(dead, SIGKILL);
    EXPECT_GT(survivor_.keeper(dead), 0) << survivor_.log();
    survivor_.kill_daemon();
    auto consumer = value_or_throw(client.consumer("q"));
    EXPECT_EQ(value_or_throw(consumer.receive()).text(), "kept");
    EXPECT_EQ(value_or_throw(client.status()).restarts, 1u);
}

// As many queues as its descriptors allow: the error says what the limit is, and whoever starts the
// daemon anew needs no more descriptors than it holds.
TEST(SurvivalAtTheLimit, a_daemon_that_has_all_its_descriptors_is_started_anew) {
    const TemporaryDirectory directory;
    const Survivor survivor(directory, [] {
        const rlimit few{200, 200};
        ::setrlimit(RLIMIT_NOFILE, &few);
    });
    const pid_t first = survivor.daemon();
    auto client = value_or_throw(shmq::Client::connect({.socket = survivor.socket()}));
    std::vector<std::string> names;
    for (;;) {
        const std::string name = "q" + std::to_string(names.size());
        const auto made = client.create(name);
        if (!made) {
            EXPECT_NE(made.error().message().find("at most 200 open files"), std::string::npos)
                << made.error().message();
            EXPECT_NE(made.error().message().find(name), std::string::npos);
            break;
        }
        names.push_back(name);
        ASSERT_LT(names.size(), 200u);
    }
    EXPECT_GT(names.size(), 150u);
    // The pool of a queue that nobody has used is one more.
    const auto producer = client.producer(names.front());
    ASSERT_FALSE(producer);
    EXPECT_NE(producer.error().message().find("at most 200 open files"), std::string::npos)
        << producer.error().message();
    // Sessions need some, too.
    for (int spare = 0; spare < 10; ++spare) {
        value_or_throw(client.remove(names.back()));
        names.pop_back();
    }
    ::kill(first, SIGKILL);
    ASSERT_TRUE(eventually([&] { return survivor.daemon() != first; })) << survivor.log();
    auto after = value_or_throw(shmq::Client::connect({.socket = survivor.socket()}));
    EXPECT_EQ(value_or_throw(after.status()).adopted, names.size());
    EXPECT_TRUE(after.producer(names.front())) << "there is room for a pool or two";
}

TEST_F(Survival, both_killed_the_clients_bring_their_queues_back) {
    auto client = connect();
    QueueOptions options = small_ring();
    options.mode = 0750;
    value_or_throw(client.create("q", options));
    auto consumer = value_or_throw(client.consumer("q"));  // its pool is read only
    {
        auto producer = value_or_throw(client.producer("q"));
        value_or_throw(producer.send(std::string(50'000, 'x')));
        value_or_throw(producer.send("small"));
    }
    value_or_throw(client.create("other"));
    Stream stream(survivor_.socket(), "other");
    EXPECT_TRUE(stream.goes_on());
    const auto before = value_or_throw(client.describe("q"));
    survivor_.kill_both();
    EXPECT_TRUE(stream.goes_on());
    survivor_.start();
    EXPECT_TRUE(comes_to([](const auto& q) { return q.consumers == 1; })) << survivor_.log();
    const auto after = value_or_throw(client.describe("q"));
    EXPECT_EQ(after.options.mode, 0750u);
    EXPECT_EQ(after.options.capacity, options.capacity);
    EXPECT_EQ(after.options.lease, before.options.lease);
    EXPECT_EQ(after.owner_uid, before.owner_uid);
    stream.finish();
    // New ones can send what needs a block: the pool is writable again.
    auto producer = value_or_throw(client.producer("q"));
    value_or_throw(producer.send(std::string(60'000, 'y')));
    std::string all;
    while (auto message = value_or_throw(consumer.try_receive())) {
        all += message->text().substr(0, 1);
        value_or_throw(message->ack());
    }
    EXPECT_EQ(all, "xsy");
    EXPECT_NE(survivor_.log().find("brought back"), std::string::npos) << survivor_.log();
}

TEST_F(Survival, who_dies_while_there_is_no_daemon_gives_everything_back) {
    auto client = connect();
    auto producer = create_with_five(client);
    Attachment inside = look_inside(client);
    const pid_t holder = start_consumer(3);
    const pid_t keeper = survivor_.keeper();
    ::kill(keeper, SIGSTOP);
    ::kill(survivor_.daemon(), SIGKILL);
    end(holder);
    // As if its pid had been given out again: only a pidfd tells the difference.
    rename_participant(inside, holder, ::getpid());
    ::kill(keeper, SIGCONT);
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.returned == 3 && q.ready == 2 && q.consumers == 0 && q.producers == 2;
    })) << survivor_.log();
    EXPECT_NE(survivor_.log().find("1 dead; given back 3 messages"), std::string::npos)
        << survivor_.log();
}

TEST_F(Survival, both_killed_the_dead_are_found_though_their_pid_lives_again) {
    auto client = connect();
    auto producer = create_with_five(client);
    Attachment inside = look_inside(client);
    const pid_t gone = start_consumer(1);
    const pid_t reused = start_consumer(2);
    ::usleep(50'000);  // starts of processes are told in hundredths of a second
    const pid_t younger = start_child([] {
        for (;;)
            ::pause();
        return 0;
    });
    survivor_.kill_both();
    end(gone);
    end(reused);
    rename_participant(inside, reused, younger);
    survivor_.start();
    EXPECT_TRUE(comes_to([](const auto& q) {
        return q.returned == 3 && q.ready == 2 && q.consumers == 0 && q.producers == 2;
    })) << survivor_.log();
    end(younger);
}

TEST_F(Survival, both_killed_a_living_process_without_its_session_is_not_taken_for_dead) {
    auto client = connect();
    auto producer = create_with_five(client);
    const pid_t holder = start_consumer(3);
    ::kill(holder, SIGSTOP);  // it cannot come back by itself
    survivor_.kill_both();
    survivor_.start();
    EXPECT_TRUE(comes_to([](const auto& q) { return q.producers == 1; }));
    const auto info = value_or_throw(client.describe("q"));
    EXPECT_EQ(info.leased, 3u);
    EXPECT_EQ(info.consumers, 1u);
    end(holder);
    EXPECT_TRUE(comes_to([](const auto& q) { return q.returned == 3 && q.consumers == 0; }));
}

TEST_F(Survival, what_ends_during_the_outage_is_told_afterwards) {
    auto client = connect();
    QueueOptions options;
    options.exclusive_consumer = true;
    value_or_throw(client.create("q", options));
    std::optional<shmq::Client> other = connect();
    std::optional<Consumer> consumer = value_or_throw(other->consumer("q"));
    std::optional<Producer> producer = value_or_throw(client.producer("q"));
    const pid_t keeper = survivor_.keeper();
    ::kill(keeper, SIGSTOP);
    ::kill(survivor_.daemon(), SIGKILL);
    producer.reset();  // its session lives on
    consumer.reset();
    other.reset();  // and this one ends
    ::kill(keeper, SIGCONT);
    EXPECT_TRUE(comes_to([](const auto& q) { return q.producers + q.consumers == 0; }))
        << survivor_.log();
    EXPECT_TRUE(client.consumer("q").ok()) << "the role is free, though its process lives";
}

TEST_F(Survival, a_call_waits_for_the_daemon_and_then_gives_up) {
    auto patient = connect();
    value_or_throw(patient.create("q"));
    auto hasty = value_or_throw(
        shmq::Client::connect({.socket = survivor_.socket(), .timeout = milliseconds(100)}));
    const pid_t keeper = survivor_.keeper();
    ::kill(keeper, SIGSTOP);
    ::kill(survivor_.daemon(), SIGKILL);
    // The socket is kept: whoever connects waits to be answered.
    const auto given_up = hasty.describe("q");
    EXPECT_TRUE(given_up.condition() == Condition::no_daemon ||
                given_up.condition() == Condition::timed_out)
        << given_up.error().message();
    std::thread later([&] {
        ::usleep(200'000);
        ::kill(keeper, SIGCONT);
    });
    EXPECT_TRUE(patient.describe("q").ok());
    EXPECT_TRUE(patient.producer("q").ok());
    later.join();
    EXPECT_TRUE(hasty.describe("q").ok()) << "later it answers again";
}

TEST_F(Survival, a_rejected_message_is_dead_after_the_outage) {
    auto client = connect();
    value_or_throw(client.create("q"));
    auto producer = value_or_throw(client.producer("q"));
    auto consumer = value_or_throw(client.consumer("q"));
    value_or_throw(producer.send("bad"));
    auto message = value_or_throw(consumer.receive());
    const pid_t keeper = survivor_.keeper();
    ::kill(keeper, SIGSTOP);
    ::kill(survivor_.daemon(), SIGKILL);
    value_or_throw(message.reject());
    ::kill(keeper, SIGCONT);
    EXPECT_TRUE(comes_to([](const auto& q) { return q.dead_rejected == 1 && q.leased == 0; }));
}

TEST_F(Survival, sigterm_to_either_ends_both_and_leaves_nothing) {
    for (const bool to_keeper : {false, true}) {
        value_or_throw(connect().create("q"));
        const pid_t told = to_keeper ? survivor_.keeper() : survivor_.daemon();
        ::kill(told, SIGTERM);
        survivor_.wait_until_nobody_is_left();
        EXPECT_FALSE(std::filesystem::exists(survivor_.socket()));
        survivor_.start();
        EXPECT_EQ(value_or_throw(connect_when_up().list()).size(), 0u);
    }
}

TEST_F(Survival, a_parents_death_is_noticed_though_its_child_holds_the_socket) {
    auto client = connect();
    auto producer = create_with_five(client);
    const pid_t parent = start_consumer(3, [] {
        if (::fork() == 0) {
            for (;;)
                ::pause();
        }
    });
    survivor_.kill_daemon();
    end(parent);
    EXPECT_TRUE(comes_to([](const auto& q) { return q.returned == 3 && q.consumers == 0; }));
    for (const pid_t orphan : descendants()) {
        if (name_of(orphan) == "e2e_tests") ::kill(orphan, SIGKILL);
    }
}

TEST_F(Survival, a_child_of_fork_gets_a_session_and_a_thread_of_its_own) {
    auto client = connect();
    value_or_throw(client.create("q"));
    auto producer = value_or_throw(client.producer("q"));
    const pid_t child = start_child([&] {
        if (producer.send("x").condition() != Condition::forked) return 1;
        auto own = connect();
        auto consumer = value_or_throw(own.consumer("q"));
        survivor_.kill_daemon();
        return comes_to([](const auto& q) { return q.producers == 1 && q.consumers == 1; }) ? 0 : 2;
    });
    EXPECT_EQ(wait_for(child), 0);
}

}  // namespace
}  // namespace shmq::daemon::test

// What becomes of messages whose consumers hang, are stopped, crash, or give up; with a real daemon
// and real processes, through the public API.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <shmq/client.hpp>

#include "support/private_daemon.hpp"

namespace shmq {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto patience = 20s;  // a watchdog, not a measure

class FailuresTest : public testing::Test {
  protected:
    Client connect() { return value_or_throw(Client::connect({.socket = daemon_.socket()})); }
    void create(const QueueOptions& options) { value_or_throw(client_.create("jobs", options)); }
    void send(const std::vector<std::string>& texts) {
        auto producer = value_or_throw(client_.producer("jobs"));
        for (const std::string& text : texts)
            value_or_throw(producer.send(text));
    }
    QueueInfo info(const std::string& name = "jobs") {
        return value_or_throw(client_.describe(name));
    }
    Message next(Consumer& consumer) { return value_or_throw(consumer.receive_for(patience)); }
    bool eventually(const std::function<bool()>& done) {
        for (const auto until = Clock::now() + patience; !done();) {
            if (Clock::now() > until) return false;
            std::this_thread::sleep_for(2ms);
        }
        return true;
    }
    // A child that runs `body` with a consumer of its own; it says by a byte when it holds what it
    // wants (`body` calls its second argument).
    pid_t start_consumer(const std::function<int(Consumer&, const std::function<void()>&)>& body) {
        int told[2];
        EXPECT_EQ(::pipe(told), 0);
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            auto client = value_or_throw(Client::connect({.socket = daemon_.socket()}));
            auto consumer = value_or_throw(client.consumer("jobs"));
            ::_exit(body(consumer, [&] {
                if (::write(told[1], "x", 1) != 1) ::_exit(99);
            }));
        }
        char byte = 0;
        EXPECT_EQ(::read(told[0], &byte, 1), 1);
        ::close(told[0]);
        ::close(told[1]);
        return pid;
    }
    static int status_of(pid_t pid) {
        int status = 0;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
    // Dies of that signal, whatever a sanitizer would rather do.
    [[noreturn]] static void die(int signal) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::signal(signal, SIG_DFL);
        ::raise(signal);
        ::_exit(98);
    }

    support::PrivateDaemon daemon_;
    Client client_ = connect();
};

TEST_F(FailuresTest, AHangingConsumersAckComesTooLate) {
    create({.lease = 50ms});
    send({"job"});
    auto hanging = value_or_throw(client_.consumer("jobs"));
    auto message = next(hanging);
    auto other_client = connect();
    auto other = value_or_throw(other_client.consumer("jobs"));
    auto again = next(other);
    EXPECT_EQ(again.text(), "job");
    EXPECT_EQ(again.failures(), 1u);
    EXPECT_FALSE(message.still_held());
    EXPECT_EQ(message.extend().condition(), Condition::stale);
    EXPECT_EQ(message.ack().condition(), Condition::stale);
    EXPECT_TRUE(again.still_held()) << "the late ack changed nothing";
    EXPECT_TRUE(again.ack().ok());
    EXPECT_EQ(info().expired, 1u);
}

TEST_F(FailuresTest, AStoppedConsumerKeepsItsMessageWhereLeasesPause) {
    for (const bool pauses : {false, true}) {
        create({.lease = 50ms, .pause_stopped = pauses});
        send({"job"});
        const pid_t pid = start_consumer([&](Consumer& consumer, const auto& tell) {
            auto message = value_or_throw(consumer.receive());
            tell();
            ::raise(SIGSTOP);
            return message.ack().ok() ? 0 : 1;
        });
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
        ASSERT_TRUE(WIFSTOPPED(status));
        auto other = value_or_throw(client_.consumer("jobs"));
        if (pauses) {
            EXPECT_EQ(other.receive_for(500ms).condition(), Condition::timed_out);
            EXPECT_EQ(info().leased, 1u);
        } else {
            EXPECT_TRUE(next(other).ack().ok());
        }
        ::kill(pid, SIGCONT);
        EXPECT_EQ(status_of(pid), pauses ? 0 : 1);
        EXPECT_EQ(info().expired, pauses ? 0u : 1u);
        value_or_throw(client_.remove("jobs", true));
    }
}

TEST_F(FailuresTest, ACrashBlamesTheMessageInHandAndNamesItsSignal) {
    create({.max_deliveries = 1});
    send({"0", "1", "2", "3", "4"});
    const pid_t pid = start_consumer([&](Consumer& consumer, const auto& tell) -> int {
        std::vector<Message> batch;
        while (batch.size() < 5)
            value_or_throw(consumer.receive_batch(batch, 5));
        consumer.handling(batch[2]);
        tell();
        die(SIGSEGV);
    });
    auto consumer = value_or_throw(client_.consumer("jobs"));
    std::string others;
    for (int i = 0; i < 4; ++i) {
        auto message = next(consumer);
        EXPECT_TRUE(message.redelivered());
        EXPECT_EQ(message.failures(), 0u);
        others += message.text();
        EXPECT_TRUE(message.ack().ok());
    }
    EXPECT_EQ(others, "0134");
    ASSERT_TRUE(eventually([&] { return info().dead_crashed == 1; }));
    auto dead = value_or_throw(client_.consumer("jobs.dlq"));
    auto letter = next(dead);
    EXPECT_EQ(letter.text(), "2");
    const auto history = letter.history();
    ASSERT_TRUE(history);
    // Not reaped yet, so every kernel that lets us look tells.
    EXPECT_EQ(history->reason, "crashed:SIGSEGV");
    EXPECT_EQ(history->pid, static_cast<std::uint32_t>(pid));
    EXPECT_EQ(history->uid, ::getuid());
    EXPECT_TRUE(history->executable.ends_with("/e2e_tests")) << history->executable;
    EXPECT_EQ(status_of(pid), 1000 + SIGSEGV);
}

TEST_F(FailuresTest, APoisonMessageEndsAmongTheDeadWithItsHistory) {
    create({.max_deliveries = 3, .retry_delay = 5ms, .retry_delay_max = 20ms});
    send({"poison", "sound"});
    const auto begun = Clock::now();
    for (int deaths = 0; deaths < 3; ++deaths) {
        const pid_t pid = start_consumer([&](Consumer& consumer, const auto& tell) -> int {
            for (;;) {
                auto message = value_or_throw(consumer.receive());
                if (message.text() != "poison") continue;  // given back
                tell();
                die(SIGKILL);
            }
        });
        EXPECT_EQ(status_of(pid), 1000 + SIGKILL);
    }
    ASSERT_TRUE(eventually([&] { return info().dead_lettered == 1; }));
    auto dead = value_or_throw(client_.consumer("jobs.dlq"));
    auto letter = next(dead);
    EXPECT_EQ(letter.text(), "poison");
    EXPECT_TRUE(letter.redelivered());
    const auto history = letter.history();
    ASSERT_TRUE(history);
    EXPECT_TRUE(history->reason.starts_with("crashed")) << history->reason;
    EXPECT_EQ(history->source, "jobs");
    EXPECT_EQ(history->failures, 3u);
    EXPECT_GE(history->deliveries, 3u);
    EXPECT_GE(history->first_failure, begun - 1ms);
    EXPECT_LT(history->first_failure, history->last_failure);
    EXPECT_LE(history->last_failure, history->moved);
    auto consumer = value_or_throw(client_.consumer("jobs"));
    EXPECT_EQ(next(consumer).text(), "sound");
}

TEST_F(FailuresTest, DelayedMessagesComeInTheOrderTheyAreDueAndNeverEarly) {
    create({});
    send({"300", "100", "200"});
    auto consumer = value_or_throw(client_.consumer("jobs"));
    const auto begun = Clock::now();
    std::vector<Message> batch;
    while (batch.size() < 3)
        value_or_throw(consumer.receive_batch(batch, 3));
    EXPECT_EQ(batch[0].nack(-1ns).condition(), Condition::invalid_argument);
    EXPECT_TRUE(batch[0].still_held()) << "the handle stays";
    for (Message& message : batch)
        EXPECT_TRUE(
            message.nack(std::chrono::milliseconds(std::stoi(std::string(message.text())))).ok());
    EXPECT_TRUE(eventually([&] { return info().delayed == 3; }));
    for (const int due : {100, 200, 300}) {
        auto message = next(consumer);
        EXPECT_GE(Clock::now() - begun, std::chrono::milliseconds(due));
        EXPECT_EQ(message.text(), std::to_string(due));
        EXPECT_EQ(message.failures(), 0u);
        EXPECT_TRUE(message.ack().ok());
    }
}

TEST_F(FailuresTest, DelaysOutliveTheDaemon) {
    create({});
    send({"later"});
    auto consumer = value_or_throw(client_.consumer("jobs"));
    EXPECT_TRUE(next(consumer).nack(500ms).ok());
    ASSERT_TRUE(eventually([&] { return info().delayed == 1; }));
    const auto old = value_or_throw(client_.status()).pid;
    ::kill(static_cast<pid_t>(old), SIGKILL);
    EXPECT_EQ(next(consumer).text(), "later");
    EXPECT_NE(value_or_throw(client_.status()).pid, old);
}

TEST_F(FailuresTest, AFullDeadLetterQueueHoldsTheMessageAndSaysSo) {
    value_or_throw(client_.create("grave", {.capacity = 64}));
    auto filler = value_or_throw(client_.producer("grave"));
    while (filler.try_send("x").ok()) {
    }
    create({.dead_letter = "grave"});
    send({"bad"});
    auto consumer = value_or_throw(client_.consumer("jobs"));
    EXPECT_TRUE(next(consumer).reject().ok());
    ASSERT_TRUE(eventually([&] { return info().held == 1 && !info().alarm.empty(); }));
    EXPECT_NE(info().alarm.find("grave"), std::string::npos) << info().alarm;
    EXPECT_NE(daemon_.log().find("held"), std::string::npos);
    EXPECT_EQ(info().dead_lettered, 0u);
    auto drain = value_or_throw(client_.consumer("grave"));
    EXPECT_TRUE(next(drain).ack().ok());
    ASSERT_TRUE(eventually([&] { return info().dead_rejected == 1; }));
    EXPECT_EQ(info().held, 0u);
    EXPECT_EQ(info().alarm, "");
}

// The daemon is killed again and again while it moves: each message is in the dead-letter queue in
// the end, and once.
TEST_F(FailuresTest, ADaemonKilledInTheMidstOfMovesNeitherLosesNorDoublesOne) {
    constexpr int messages = 3000;
    create({.capacity = 4096});
    value_or_throw(client_.create("jobs.dlq", {.capacity = 4096}));
    auto producer = value_or_throw(client_.producer("jobs"));
    for (int i = 0; i < messages; ++i)
        value_or_throw(producer.send(std::to_string(i)));
    auto consumer = value_or_throw(client_.consumer("jobs"));
    std::thread killer([&] {
        for (int kills = 0; kills < 6; ++kills) {
            std::this_thread::sleep_for(30ms);
            auto status = client_.status();
            if (status) ::kill(static_cast<pid_t>(status->pid), SIGKILL);
        }
    });
    for (int rejected = 0; rejected < messages;) {
        auto message = consumer.receive_for(patience);
        ASSERT_TRUE(message) << message.error().message();
        if (message->reject()) ++rejected;
    }
    killer.join();
    ASSERT_TRUE(eventually([&] {
        const auto grave = client_.describe("jobs.dlq");
        const auto source = client_.describe("jobs");
        return grave && source && grave->returned + grave->ready >= messages &&
               source->held + source->leased == 0;
    })) << info().held
        << " held, " << info("jobs.dlq").returned << " dead";
    auto dead = value_or_throw(client_.consumer("jobs.dlq"));
    std::multiset<std::string> found;
    for (;;) {
        auto message = value_or_throw(dead.try_receive());
        if (!message) break;
        found.emplace(message->text());
        EXPECT_EQ(message->history()->reason == "rejected", true);
        EXPECT_TRUE(message->ack().ok());
    }
    EXPECT_EQ(found.size(), static_cast<std::size_t>(messages));
    EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(),
              static_cast<std::size_t>(messages));
}

}  // namespace
}  // namespace shmq

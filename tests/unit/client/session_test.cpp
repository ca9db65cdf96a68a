#include "client/session.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "unit/client/fake_daemon.hpp"

namespace shmq {
namespace {

using wire::Json;
namespace method = wire::method;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class SessionTest : public ::testing::Test {
  protected:
    // Generous: it ends waits that should never be, and no test asserts it.
    ConnectOptions options(std::chrono::milliseconds timeout = std::chrono::seconds(30)) const {
        ConnectOptions options;
        options.socket = daemon_.socket();
        options.timeout = timeout;
        return options;
    }
    std::shared_ptr<Session> connect() {
        auto session = Session::connect(options());
        EXPECT_TRUE(session) << session.error().message();
        return session ? *session : nullptr;
    }
    void expect_connect_fails(Condition condition, const std::string& part) {
        const auto session = Session::connect(options());
        ASSERT_FALSE(session);
        EXPECT_EQ(session.condition(), condition) << session.error().message();
        EXPECT_TRUE(contains(session.error().message(), part)) << session.error().message();
    }
    void answer_describe() {
        daemon_.on(method::describe, [](const wire::Call& call, wire::Frame&) {
            const auto name = call.parameters["name"].get<std::string>();
            return FakeDaemon::answer({{"queue", wire::to_json(sample_queue(name))}});
        });
    }

    FakeDaemon daemon_;
};

// ---- Hello -------------------------------------------------------------------------------------

TEST_F(SessionTest, HelloCarriesVersionAndOwnPidfd) {
    std::string target;
    daemon_.on(method::hello, [&](const wire::Call& call, wire::Frame& frame) {
        const Fd pidfd = frame.take_descriptor(call.parameters["pidfd"].get<std::uint64_t>());
        target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(pidfd.get()));
        std::vector<Fd> doorbell;
        doorbell.emplace_back(::eventfd(0, EFD_CLOEXEC));
        return FakeDaemon::answer(daemon_.hello_parameters(), std::move(doorbell));
    });
    const auto session = connect();
    ASSERT_TRUE(session);
    EXPECT_EQ(target, "anon_inode:[pidfd]");
    EXPECT_EQ(daemon_.calls(method::hello).at(0).parameters["version"], version());
    EXPECT_EQ(session->socket(), daemon_.socket());
    EXPECT_EQ(session->daemon_pid(), static_cast<std::uint32_t>(::getpid()));
}

TEST_F(SessionTest, ADaemonOfAnotherVersionIsIncompatible) {
    for (const auto& [name, value] :
         {std::pair<const char*, Json>{"version", "9.0.0"}, {"segment_version", 99}}) {
        daemon_.on(method::hello,
                   [this, name = name, value = value](const wire::Call&, wire::Frame&) {
                       Json parameters = daemon_.hello_parameters();
                       parameters[name] = value;
                       std::vector<Fd> doorbell;
                       doorbell.emplace_back(::eventfd(0, EFD_CLOEXEC));
                       return FakeDaemon::answer(parameters, std::move(doorbell));
                   });
        const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
        expect_connect_fails(Condition::incompatible, shown);
        expect_connect_fails(Condition::incompatible, version());
    }
}

TEST_F(SessionTest, ADaemonThatRefusesOurVersionIsIncompatible) {
    daemon_.on(method::hello, [](const wire::Call&, wire::Frame&) {
        return FakeDaemon::fail(wire::version_mismatch("9.0.0", "0.1.0"));
    });
    expect_connect_fails(Condition::incompatible, "9.0.0");
}

TEST_F(SessionTest, AHelloWithoutDoorbellIsAProtocolError) {
    daemon_.on(method::hello, [this](const wire::Call&, wire::Frame&) {
        return FakeDaemon::answer(daemon_.hello_parameters());
    });
    expect_connect_fails(Condition::protocol_error, "doorbell");
}

TEST_F(SessionTest, GarbageIsAProtocolError) {
    for (const char* text : {"garbage", "[]", "{}", R"({"parameters":{}})"}) {
        daemon_.on(method::hello, [text](const wire::Call&, wire::Frame&) {
            return FakeDaemon::Reaction{text, {}};
        });
        expect_connect_fails(Condition::protocol_error, daemon_.socket());
    }
}

TEST_F(SessionTest, AHangUpInsteadOfHelloIsAProtocolError) {
    daemon_.on(method::hello,
               [](const wire::Call&, wire::Frame&) { return FakeDaemon::hang_up(); });
    expect_connect_fails(Condition::protocol_error, "hung up");
}

TEST_F(SessionTest, WhatTheDaemonSaysBeforeItHangsUpIsHeard) {
    daemon_.greet_with(wire::failure_text(wire::quota_exceeded("sessions", 1000, 4096, 4096)));
    expect_connect_fails(Condition::quota_exceeded, "4096 sessions");
}

// ---- Connecting --------------------------------------------------------------------------------

TEST(SessionConnect, ANamedSocketWithoutDaemonIsNotStartedAndSaysSo) {
    const ScratchDirectory directory;
    ConnectOptions options;
    options.socket = directory / "socket";
    const auto session = Session::connect(options);
    EXPECT_EQ(session.condition(), Condition::no_daemon);
    EXPECT_TRUE(contains(session.error().message(), options.socket)) << session.error().message();
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SessionConnect, TooLongAPathIsToldSo) {
    ConnectOptions options;
    options.socket = "/" + std::string(200, 'x');
    EXPECT_EQ(Session::connect(options).condition(), Condition::invalid_argument);
}

// ---- Calls -------------------------------------------------------------------------------------

TEST_F(SessionTest, DescribeGivesTheQueue) {
    answer_describe();
    const auto session = connect();
    const auto info = session->describe("jobs");
    ASSERT_TRUE(info) << info.error().message();
    EXPECT_EQ(info->name, "jobs");
    EXPECT_EQ(info->options.capacity, 1024u);
    EXPECT_EQ(info->options.mode, 0750u);
    EXPECT_EQ(info->options.overflow, Overflow::reject);
    EXPECT_EQ(info->options.lease, std::chrono::seconds(30));
    EXPECT_EQ(info->options.group, 1001u);
    EXPECT_EQ(info->owner_uid, 1000u);
    EXPECT_EQ(info->ready, 3u);
}

TEST_F(SessionTest, ABadNameNeverTravels) {
    const auto session = connect();
    const std::string bad = "../etc";
    EXPECT_EQ(session->describe(bad).condition(), Condition::invalid_argument);
    EXPECT_EQ(session->create(bad, {}, true).condition(), Condition::invalid_argument);
    EXPECT_EQ(session->remove(bad, true).condition(), Condition::invalid_argument);
    EXPECT_EQ(session->purge(bad).condition(), Condition::invalid_argument);
    EXPECT_EQ(session->attach(bad, shm::Role::producer).condition(), Condition::invalid_argument);
    EXPECT_EQ(session->observe(bad).condition(), Condition::invalid_argument);
    EXPECT_EQ(daemon_.calls().size(), 1u);  // the hello
}

TEST_F(SessionTest, CreateSendsWhatDiffersFromTheDefaults) {
    daemon_.on(method::create, [](const wire::Call&, wire::Frame&) {
        return FakeDaemon::answer({{"created", true}, {"queue", Json::object()}});
    });
    const auto session = connect();
    EXPECT_TRUE(*session->create("a", {}, true));
    QueueOptions options;
    options.capacity = 64;
    options.overflow = Overflow::drop_oldest;
    options.lease = std::chrono::seconds(1);
    options.mode = 0777;
    options.group = 0;
    options.exclusive_producer = true;
    EXPECT_TRUE(*session->create("b", options, false));

    const auto calls = daemon_.calls(method::create);
    ASSERT_EQ(calls.size(), 2u);
    EXPECT_EQ(calls[0].parameters,
              (Json{{"name", "a"}, {"options", Json::object()}, {"if_missing", true}}));
    EXPECT_EQ(calls[1].parameters, (Json{{"name", "b"},
                                         {"options",
                                          {{"capacity", 64},
                                           {"overflow", "drop_oldest"},
                                           {"lease", 1'000'000'000},
                                           {"mode", 0777},
                                           {"group", 0},
                                           {"exclusive_producer", true}}},
                                         {"if_missing", false}}));
    options.lease = std::chrono::nanoseconds(-1);
    EXPECT_EQ(session->create("c", options, false).condition(), Condition::invalid_argument);
}

TEST_F(SessionTest, RemoveAndPurgeAndStatusGiveWhatTheDaemonSays) {
    daemon_.on(method::remove, [](const wire::Call& call, wire::Frame&) {
        return call.parameters["force"] == true ? FakeDaemon::answer({{"dropped", 5}})
                                                : FakeDaemon::fail(wire::queue_in_use("q", 5, 2));
    });
    daemon_.on(method::purge, [](const wire::Call&, wire::Frame&) {
        return FakeDaemon::answer({{"purged", 7}});
    });
    daemon_.on(method::status, [](const wire::Call&, wire::Frame&) {
        return FakeDaemon::answer({{"pid", 12},
                                   {"version", "0.1.0"},
                                   {"socket", "/s"},
                                   {"queues", 1},
                                   {"sessions", 2},
                                   {"uptime", 3},
                                   {"deaths", 4},
                                   {"reclaimed", 5},
                                   {"news", "ignored"}});
    });
    const auto session = connect();
    EXPECT_TRUE(session->remove("q", true));
    EXPECT_EQ(session->remove("q", false).condition(), Condition::queue_in_use);
    EXPECT_EQ(*session->purge("q"), 7u);
    const auto status = session->status();
    ASSERT_TRUE(status) << status.error().message();
    EXPECT_EQ(status->pid, 12u);
    EXPECT_EQ(status->sessions, 2u);
    EXPECT_EQ(status->uptime, std::chrono::nanoseconds(3));
    EXPECT_EQ(status->reclaimed, 5u);
}

TEST_F(SessionTest, ListFollowsPages) {
    daemon_.on(method::list, [](const wire::Call& call, wire::Frame&) {
        const std::string after = call.parameters.value("after", "");
        Json page = Json::array();
        for (const char* name : {"a", "b", "c"}) {
            if (name > after && page.size() < 2) page.push_back(wire::to_json(sample_queue(name)));
        }
        return FakeDaemon::answer({{"queues", page}, {"more", after.empty()}});
    });
    const auto session = connect();
    const auto queues = session->list();
    ASSERT_TRUE(queues) << queues.error().message();
    ASSERT_EQ(queues->size(), 3u);
    EXPECT_EQ((*queues)[2].name, "c");
    EXPECT_EQ(daemon_.calls(method::list).size(), 2u);
}

TEST_F(SessionTest, AListThatWouldGoOnForEverIsAProtocolError) {
    const auto session = connect();
    for (const Json& page :
         {Json::array(), Json::array({wire::to_json(sample_queue("a"))}), Json("none")}) {
        daemon_.on(method::list, [page](const wire::Call&, wire::Frame&) {
            return FakeDaemon::answer({{"queues", page}, {"more", true}});
        });
        EXPECT_EQ(session->list().condition(), Condition::protocol_error) << page;
    }
}

TEST_F(SessionTest, EveryErrorHasItsConditionAndNamesWhatMatters) {
    struct Row {
        wire::Failure failure;
        Condition condition;
        std::vector<std::string> parts;
    };
    const std::vector<Row> rows = {
        {wire::queue_not_found("jobs"), Condition::queue_not_found, {"'jobs'", "create"}},
        {wire::queue_exists("jobs"), Condition::queue_exists, {"'jobs'", "exists already"}},
        {wire::queue_exists("jobs", "capacity", "64", "128"),
         Condition::queue_exists,
         {"'jobs'", "capacity 64", "128"}},
        {wire::queue_in_use("jobs", 5, 2), Condition::queue_in_use, {"'jobs'", "5", "2", "force"}},
        {wire::permission_denied("jobs", "consume", 7, {8, 9, 0640}),
         Condition::permission_denied,
         {"'jobs'", "uid 7", "consume", "owner 8", "group 9", "0640"}},
        {wire::role_taken("jobs", "consumer", 4242),
         Condition::role_taken,
         {"'jobs'", "4242", "consumer"}},
        {wire::invalid_name("jobs", "too odd"), Condition::invalid_argument, {"'jobs'", "too odd"}},
        {wire::invalid_parameter("options.capacity", "not a power of two"),
         Condition::invalid_argument,
         {"'jobs'", "options.capacity", "power of two"}},
        {wire::quota_exceeded("queues", 7, 10, 11),
         Condition::quota_exceeded,
         {"uid 7", "10", "11", "queues"}},
        {wire::version_mismatch("9.0.0", "0.1.0"), Condition::incompatible, {"9.0.0", "0.1.0"}},
        {wire::hello_expected(), Condition::protocol_error, {"HelloExpected"}},
        {wire::quarantined("jobs", "slot 3 lies"),
         Condition::quarantined,
         {"'jobs'", "slot 3 lies"}},
        {wire::system_error("create a memfd", ENOMEM),
         Condition::system_error,
         {"create a memfd", "Cannot allocate memory"}},
        {wire::method_not_found("x.Y"), Condition::protocol_error, {"MethodNotFound", "'jobs'"}},
        {{"com.example.Odd", {{"pid", Json::array()}}}, Condition::protocol_error, {"Odd"}},
        // Parameters that are missing or odd must not stop us from telling the rest.
        {{std::string(wire::error::role_taken), Json::object()}, Condition::role_taken, {"'jobs'"}},
        {{std::string(wire::error::system_error), Json::array()}, Condition::system_error, {}},
    };
    const auto session = connect();
    for (const Row& row : rows) {
        daemon_.on(method::describe,
                   [&](const wire::Call&, wire::Frame&) { return FakeDaemon::fail(row.failure); });
        const auto info = session->describe("jobs");
        EXPECT_EQ(info.condition(), row.condition) << row.failure.error;
        ASSERT_FALSE(info);
        for (const std::string& part : row.parts) {
            EXPECT_TRUE(contains(info.error().message(), part))
                << "'" << part << "' is not in: " << info.error().message();
        }
        if (row.failure.parameters.contains("errno")) {
            EXPECT_EQ(info.error().os_error(), ENOMEM);
        }
    }
}

TEST_F(SessionTest, AnAnswerWithoutItsMembersIsAProtocolError) {
    for (const std::string_view name :
         {method::describe, method::create, method::purge, method::status, method::list}) {
        daemon_.on(name, [](const wire::Call&, wire::Frame&) {
            return FakeDaemon::answer({{"queue", 7}, {"created", "yes"}});
        });
    }
    const auto session = connect();
    EXPECT_EQ(session->describe("q").condition(), Condition::protocol_error);
    EXPECT_EQ(session->create("q", {}, true).condition(), Condition::protocol_error);
    EXPECT_EQ(session->purge("q").condition(), Condition::protocol_error);
    EXPECT_EQ(session->status().condition(), Condition::protocol_error);
    EXPECT_EQ(session->list().condition(), Condition::protocol_error);
}

// ---- The daemon goes, or is slow ---------------------------------------------------------------

TEST_F(SessionTest, ACallThatWasCutOffIsMadeAgainOnANewConnection) {
    std::atomic<int> hang_ups{1};
    daemon_.on(method::describe, [&](const wire::Call&, wire::Frame&) {
        if (hang_ups-- > 0) return FakeDaemon::hang_up();
        return FakeDaemon::answer({{"queue", wire::to_json(sample_queue("jobs"))}});
    });
    const auto session = connect();
    EXPECT_TRUE(session->describe("jobs"));
    EXPECT_EQ(daemon_.calls(method::hello).size(), 2u);
    EXPECT_EQ(daemon_.calls(method::describe).size(), 2u);
}

TEST_F(SessionTest, ACallThatIsCutOffAgainAndAgainIsGivenUp) {
    daemon_.on(method::describe,
               [](const wire::Call&, wire::Frame&) { return FakeDaemon::hang_up(); });
    const auto session = connect();
    const auto info = session->describe("jobs");
    EXPECT_EQ(info.condition(), Condition::no_daemon);
    EXPECT_EQ(daemon_.calls(method::describe).size(), 5u);
}

TEST_F(SessionTest, ACallWaitsForADaemonThatRecovers) {
    std::atomic<int> not_yet{3};
    daemon_.on(method::describe, [&](const wire::Call&, wire::Frame&) {
        if (not_yet-- > 0) return FakeDaemon::fail(wire::recovering("jobs"));
        return FakeDaemon::answer({{"queue", wire::to_json(sample_queue("jobs"))}});
    });
    const auto session = connect();
    EXPECT_TRUE(session->describe("jobs"));
    EXPECT_EQ(daemon_.calls(method::describe).size(), 4u);
    EXPECT_EQ(daemon_.calls(method::hello).size(), 1u) << "the connection was good";
}

TEST_F(SessionTest, WhatMustNotBeDoneTwiceIsNotRepeated) {
    for (const std::string_view name : {method::remove, method::purge, method::create}) {
        daemon_.on(name, [](const wire::Call&, wire::Frame&) { return FakeDaemon::hang_up(); });
    }
    answer_describe();
    const auto session = connect();
    const auto removed = session->remove("jobs", true);
    EXPECT_EQ(removed.condition(), Condition::no_daemon);
    EXPECT_TRUE(contains(removed.error().message(), "may or may not")) << removed.error().message();
    EXPECT_EQ(session->purge("jobs").condition(), Condition::no_daemon);
    EXPECT_EQ(session->create("jobs", {}, false).condition(), Condition::no_daemon);
    for (const std::string_view name : {method::remove, method::purge, method::create}) {
        EXPECT_EQ(daemon_.calls(name).size(), 1u) << name;
    }
    EXPECT_TRUE(session->describe("jobs"));
}

TEST_F(SessionTest, ADaemonThatIsGoneIsNamedWithTheRemedy) {
    const auto session = *Session::connect(options(std::chrono::milliseconds(100)));
    daemon_.stop();
    for (int round = 0; round < 2; ++round) {
        const auto status = session->status();
        EXPECT_EQ(status.condition(), Condition::no_daemon);
        EXPECT_TRUE(contains(status.error().message(), "shmqd --socket " + daemon_.socket()))
            << status.error().message();
    }
    session->ring_doorbell();  // into the void, harmlessly
}

TEST_F(SessionTest, ALateAnswerIsNobodysAndTheNextCallGetsItsOwn) {
    Gate gate;
    daemon_.on(method::describe, [&](const wire::Call& call, wire::Frame&) {
        const auto name = call.parameters["name"].get<std::string>();
        if (name == "slow") {
            EXPECT_TRUE(gate.wait());
        }
        return FakeDaemon::answer({{"queue", wire::to_json(sample_queue(name))}});
    });
    auto session = *Session::connect(options(std::chrono::milliseconds(200)));
    const auto late = session->describe("slow");
    EXPECT_EQ(late.condition(), Condition::timed_out);
    EXPECT_TRUE(contains(late.error().message(), "'slow'")) << late.error().message();
    EXPECT_EQ(session->describe("impatient").condition(), Condition::timed_out);
    gate.open();
    // On a busy machine even a prompt daemon may miss so short a deadline: ask until it does not.
    auto info = session->describe("quick");
    for (int round = 0; round < 100 && info.condition() == Condition::timed_out; ++round) {
        info = session->describe("quick");
    }
    ASSERT_TRUE(info) << info.error().message();
    EXPECT_EQ(info->name, "quick");
    EXPECT_EQ(daemon_.calls(method::hello).size(), 1u) << "it must not hang up: that costs leases";
}

TEST_F(SessionTest, TheDoorbellRingsAlsoAfterANewConnection) {
    const auto session = connect();
    session->ring_doorbell();
    session->ring_doorbell();
    EXPECT_EQ(daemon_.take_rings(), 2u);

    const Fd second(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    daemon_.on(method::hello, [&](const wire::Call&, wire::Frame&) {
        std::vector<Fd> doorbell;
        doorbell.push_back(second.duplicate());
        return FakeDaemon::answer(daemon_.hello_parameters(), std::move(doorbell));
    });
    daemon_.on(method::status,
               [](const wire::Call&, wire::Frame&) { return FakeDaemon::hang_up(); });
    EXPECT_FALSE(session->status());
    session->ring_doorbell();
    EXPECT_EQ(daemon_.take_rings(), 0u);
    eventfd_t count = 0;
    ASSERT_EQ(::eventfd_read(second.get(), &count), 0);
    EXPECT_EQ(count, 1u);
}

// ---- Fork --------------------------------------------------------------------------------------

TEST_F(SessionTest, AChildOfForkIsToldSoAndDisturbsNothing) {
    answer_describe();
    auto session = connect();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        bool right = session->forked();
        right &= session->status().condition() == Condition::forked;
        right &= session->describe("q").condition() == Condition::forked;
        right &= session->list().condition() == Condition::forked;
        right &= session->create("q", {}, true).condition() == Condition::forked;
        right &= session->remove("q", true).condition() == Condition::forked;
        right &= session->purge("q").condition() == Condition::forked;
        right &= session->attach("q", shm::Role::consumer).condition() == Condition::forked;
        right &= session->observe("q").condition() == Condition::forked;
        right &= session->detach("q", 1).condition() == Condition::forked;
        session->ring_doorbell();
        session.reset();
        ::_exit(right ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_FALSE(session->forked());
    EXPECT_TRUE(session->describe("q"));
    EXPECT_EQ(daemon_.calls(method::hello).size(), 1u);
    EXPECT_EQ(daemon_.calls().size(), 2u) << "the child spoke";
    EXPECT_EQ(daemon_.take_rings(), 0u);
}

// ---- Client ------------------------------------------------------------------------------------

TEST_F(SessionTest, AMovedFromClientIsClosed) {
    answer_describe();
    auto client = Client::connect(options());
    ASSERT_TRUE(client);
    ASSERT_NE(SessionAccess::of(*client), nullptr);
    Client other = std::move(*client);
    EXPECT_TRUE(other.describe("q"));
    EXPECT_EQ(client->describe("q").condition(), Condition::closed);
    EXPECT_EQ(client->declare("q").condition(), Condition::closed);
    EXPECT_EQ(client->producer("q").condition(), Condition::closed);
    EXPECT_EQ(client->consumer("q").condition(), Condition::closed);
    EXPECT_EQ(SessionAccess::of(*client), nullptr);
}

}  // namespace
}  // namespace shmq

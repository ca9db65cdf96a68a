#include "daemon/options.hpp"

#include <gtest/gtest.h>

#include "daemon/accounts.hpp"
#include "daemon/control/listener.hpp"
#include "daemon/log.hpp"
#include "daemon/rights.hpp"

namespace shmq::daemon {
namespace {

ParsedOptions parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "shmqd");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    auto parsed = parse_options(static_cast<int>(arguments.size()), arguments.data());
    testing::internal::GetCapturedStdout();
    testing::internal::GetCapturedStderr();
    return parsed;
}

TEST(DaemonOptions, durations_as_people_write_them) {
    EXPECT_EQ(parse_duration("0"), 0);
    EXPECT_EQ(parse_duration("90"), 90 * nanoseconds_per_second);
    EXPECT_EQ(parse_duration("1.5h"), 5400 * nanoseconds_per_second);
    EXPECT_EQ(parse_duration("250ms"), 250 * nanoseconds_per_millisecond);
    EXPECT_EQ(parse_duration("10us"), 10'000);
    EXPECT_EQ(parse_duration("7ns"), 7);
    EXPECT_EQ(parse_duration("2d"), 2 * 86'400 * nanoseconds_per_second);
    for (const char* wrong : {"", "s", "-1s", "1 s", "1x", "1e400", "nan", "inf", "1s2", "0.1ns",
                              "999999999999d", "0x10"}) {
        EXPECT_FALSE(parse_duration(wrong).has_value()) << wrong;
    }
}

TEST(DaemonOptions, sizes_as_people_write_them) {
    EXPECT_EQ(parse_size("4096"), 4096u);
    EXPECT_EQ(parse_size("64K"), 65536u);
    EXPECT_EQ(parse_size("1.5GiB"), 3u << 29);
    EXPECT_EQ(parse_size("4T"), std::uint64_t{4} << 40);
    for (const char* wrong : {"", "K", "-5", "64k", "1P", "99999999999999T"}) {
        EXPECT_FALSE(parse_size(wrong).has_value()) << wrong;
    }
}

TEST(DaemonOptions, the_command_line) {
    const auto parsed = parse({"--socket", "/x/y", "--state-dir", "/x/z", "--idle-exit", "2m",
                               "--log-level", "debug", "--uid-queues", "5", "--uid-sessions", "6",
                               "--uid-memory", "1G", "--io", "epoll"});
    ASSERT_FALSE(parsed.exit_status.has_value());
    EXPECT_EQ(parsed.options.socket, "/x/y");
    EXPECT_EQ(parsed.options.state_directory, "/x/z");
    EXPECT_EQ(parsed.options.idle_exit_ns, 120 * nanoseconds_per_second);
    EXPECT_EQ(parsed.options.log_level, "debug");
    EXPECT_EQ(parsed.options.quotas.queues, 5u);
    EXPECT_EQ(parsed.options.quotas.sessions, 6u);
    EXPECT_EQ(parsed.options.quotas.memory_bytes, 1u << 30);
    EXPECT_EQ(parsed.options.io, IoChoice::epoll);
    EXPECT_FALSE(parse({}).exit_status.has_value());
    EXPECT_EQ(parse({"--version"}).exit_status, 0);
    EXPECT_EQ(parse({"--help"}).exit_status, 0);
    const std::vector<std::vector<const char*>> wrong = {
        {"--bogus"},           {"extra"},          {"--idle-exit", "soon"}, {"--idle-exit"},
        {"--log-level", "no"}, {"--socket", ""},   {"--uid-queues", "-1"},  {"--uid-memory", "x"},
        {"--io", "select"},    {"--state-dir", ""}};
    for (const auto& arguments : wrong) {
        EXPECT_EQ(parse(arguments).exit_status, 2) << arguments[0];
    }
}

TEST(DaemonOptions, the_default_socket_follows_the_environment) {
    ::setenv("SHMQ_SOCKET", "/elsewhere/s", 1);
    EXPECT_EQ(default_socket_path(), "/elsewhere/s");
    ::unsetenv("SHMQ_SOCKET");
    if (::geteuid() == 0) {
        EXPECT_EQ(default_socket_path(), "/run/shmq/socket");
        return;
    }
    ::setenv("XDG_RUNTIME_DIR", "/run/user/5", 1);
    EXPECT_EQ(default_socket_path(), "/run/user/5/shmq/socket");
    ::unsetenv("XDG_RUNTIME_DIR");
    EXPECT_EQ(default_socket_path(), "/tmp/shmq-" + std::to_string(::geteuid()) + "/socket");
}

TEST(DaemonRights, the_first_class_that_fits_decides) {
    const wire::Ownership ownership{.owner = 4001, .group = 5001, .mode = 0421};
    const auto rights_of = [&](uid_t uid, gid_t gid, std::vector<gid_t> groups) {
        const Caller caller{.pid = 1, .uid = uid, .gid = gid, .groups = std::move(groups)};
        std::uint32_t rights = 0;
        for (const Right right : {Right::consume, Right::produce, Right::manage}) {
            if (may(caller, ownership, right)) rights |= right;
        }
        EXPECT_EQ(may(caller, ownership, Right::any), rights != 0);
        return rights;
    };
    EXPECT_EQ(rights_of(4001, 5001, {}), 4u);
    EXPECT_EQ(rights_of(4002, 5001, {}), 2u);
    EXPECT_EQ(rights_of(4002, 9, {7, 5001}), 2u);
    EXPECT_EQ(rights_of(4002, 9, {7}), 1u);
    EXPECT_EQ(rights_of(0, 9, {}), 7u);
    EXPECT_EQ(rights_of(::geteuid(), 9, {}), 7u);
}

TEST(DaemonAccounts, nothing_is_charged_beyond_a_quota) {
    Accounts accounts({.queues = 2, .sessions = 1, .memory_bytes = 100});
    EXPECT_FALSE(accounts.charge_queue(1, 60).has_value());
    EXPECT_TRUE(accounts.charge_queue(1, 41).has_value());
    EXPECT_TRUE(accounts.charge_queue(1, UINT64_MAX).has_value());
    EXPECT_FALSE(accounts.charge_queue(1, 40).has_value());
    EXPECT_TRUE(accounts.charge_queue(1, 0).has_value());
    EXPECT_FALSE(accounts.charge_queue(2, 100).has_value()) << "another uid";
    EXPECT_FALSE(accounts.charge_session(1).has_value());
    EXPECT_TRUE(accounts.charge_session(1).has_value());
    accounts.release_session(1);
    accounts.release_queue(1, 60);
    accounts.release_queue(1, 40);
    accounts.release_queue(2, 100);
}

TEST(DaemonLog, nobody_forges_lines) {
    EXPECT_EQ(log_quoted("a\nb\"\\\x7f\xc3"), "\"a\\x0ab\\x22\\x5c\\x7f\\xc3\"");
    EXPECT_LT(log_quoted(std::string(5000, 'a')).size(), 300u);
}

}  // namespace
}  // namespace shmq::daemon

#include "client/daemon_start.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "unit/client/environment.hpp"
#include "unit/client/fake_daemon.hpp"

namespace shmq {
namespace {

constexpr Nanoseconds watchdog_ns = 30 * nanoseconds_per_second;

Nanoseconds soon() {
    return deadline_after(monotonic_now(), watchdog_ns);
}

std::string pretend_daemon() {
    const char* folder = std::getenv("SHMQ_TEST_BIN_DIR");
    return std::string(folder != nullptr ? folder : SHMQ_TEST_BIN_DIR) + "/test_pretend_daemon";
}

std::vector<std::string> lines_of(const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        lines.push_back(line);
    return lines;
}

class DaemonStartTest : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_TRUE(std::filesystem::exists(pretend_daemon())); }
    void TearDown() override {
        const std::string pid = fact("pid ");
        if (!pid.empty()) ::kill(std::stoi(pid), SIGKILL);
    }

    // What follows `key` in the first line of the facts that begins with it.
    std::string fact(const std::string& key) const {
        for (const std::string& line : lines_of(endpoint_.socket + ".facts")) {
            if (line.starts_with(key)) return line.substr(key.size());
        }
        return {};
    }
    std::vector<std::string> facts(const std::string& key) const {
        std::vector<std::string> found;
        for (const std::string& line : lines_of(endpoint_.socket + ".facts")) {
            if (line.starts_with(key)) found.push_back(line.substr(key.size()));
        }
        return found;
    }

    ScratchDirectory scratch_;
    Endpoint endpoint_{scratch_ / "shmq/socket", false};
    Variable program_{"SHMQ_SHMQD", pretend_daemon()};
};

TEST_F(DaemonStartTest, StartsOneThatAnswers) {
    const auto socket = start_daemon(endpoint_, soon());
    ASSERT_TRUE(socket) << socket.error().message();
    EXPECT_TRUE(socket->valid());
    EXPECT_EQ(facts("argument "),
              (std::vector<std::string>{"--socket", endpoint_.socket, "--idle-exit", "60s"}));
}

TEST_F(DaemonStartTest, TheDaemonHasNothingOfItsStarter) {
    // What a program may carry about: a descriptor without close-on-exec, signals turned off.
    const Fd inheritable(::open("/dev/zero", O_RDONLY));
    const auto old_handler = ::signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigset_t old_mask;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &old_mask);
    const auto socket = start_daemon(endpoint_, soon());
    ::pthread_sigmask(SIG_SETMASK, &old_mask, nullptr);
    ::signal(SIGPIPE, old_handler);
    ASSERT_TRUE(socket) << socket.error().message();

    const auto descriptors = facts("descriptor ");
    EXPECT_EQ(descriptors, (std::vector<std::string>{"0 /dev/null", "1 /dev/null",
                                                     "2 " + scratch_.path() + "/shmq/shmqd.log"}));
    EXPECT_EQ(fact("SigBlk:\t"), "0000000000000000");
    EXPECT_EQ(fact("SigIgn:\t"), "0000000000000000");
    EXPECT_EQ(fact("directory "), "/");
    EXPECT_NE(fact("session "), std::to_string(::getsid(0)));
    const int pid = std::stoi(fact("pid "));
    EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD) << "the daemon is a child of its starter";
}

TEST_F(DaemonStartTest, TheDirectoryIsPrivateUnlessItIsTheSystems) {
    ASSERT_TRUE(start_daemon(endpoint_, soon()));
    struct stat status {};
    ASSERT_EQ(::stat((scratch_ / "shmq").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, ::geteuid() == 0 ? 0755u : 0700u);
}

TEST_F(DaemonStartTest, ADirectoryInTmpThatIsNotOursAloneIsRefused) {
    endpoint_.in_tmp = true;
    std::filesystem::create_directory(scratch_ / "shmq");
    ASSERT_EQ(::chmod((scratch_ / "shmq").c_str(), 0755), 0);
    EXPECT_EQ(start_daemon(endpoint_, soon()).condition(), Condition::permission_denied);
    EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "shmq"));
}

TEST_F(DaemonStartTest, ManyStartersMakeOne) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "a child forked beside other threads can hang in this sanitizer's _exit";
#endif
    std::vector<std::thread> starters;
    std::atomic<int> connected{0};
    for (int index = 0; index < 6; ++index) {
        starters.emplace_back([&] {
            const auto socket = start_daemon(endpoint_, soon());
            EXPECT_TRUE(socket) << socket.error().message();
            if (socket) ++connected;
        });
    }
    for (std::thread& starter : starters)
        starter.join();
    EXPECT_EQ(connected.load(), 6);
    EXPECT_EQ(lines_of(endpoint_.socket + ".starts").size(), 1u);
}

TEST_F(DaemonStartTest, TheLockIsHeldByOneAndGoesWithIt) {
    auto first = take_start_lock(scratch_.path(), soon());
    ASSERT_TRUE(first) << first.error().message();
    const auto second = take_start_lock(scratch_.path(), monotonic_now());
    EXPECT_EQ(second.condition(), Condition::timed_out);
    EXPECT_NE(second.error().message().find("start.lock"), std::string::npos);
    first->reset();
    EXPECT_TRUE(take_start_lock(scratch_.path(), soon()));
}

TEST_F(DaemonStartTest, WhoeverHoldsTheLockIsWaitedFor) {
    std::filesystem::create_directory(scratch_ / "shmq");
    auto held = take_start_lock(scratch_ / "shmq", soon());
    ASSERT_TRUE(held);
    EXPECT_EQ(start_daemon(endpoint_, monotonic_now()).condition(), Condition::timed_out);
    EXPECT_TRUE(lines_of(endpoint_.socket + ".starts").empty());
}

TEST_F(DaemonStartTest, AProgramThatEndsAtOnceIsToldWithItsLog) {
    const Variable program("SHMQ_SHMQD", "/bin/false");
    const auto socket = start_daemon(endpoint_, soon());
    EXPECT_EQ(socket.condition(), Condition::no_daemon);
    const std::string text = socket.error().message();
    EXPECT_NE(text.find("shmqd.log"), std::string::npos) << text;
    EXPECT_NE(text.find(endpoint_.socket), std::string::npos) << text;
}

TEST_F(DaemonStartTest, AFileThatIsNoProgramIsToldSo) {
    const std::string path = scratch_ / "not_a_program";
    std::ofstream(path) << "\x7f"
                           "ELF, but no more";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    const Variable program("SHMQ_SHMQD", path);
    const auto socket = start_daemon(endpoint_, soon());
    EXPECT_EQ(socket.condition(), Condition::no_daemon);
    EXPECT_EQ(socket.error().os_error(), ENOEXEC) << socket.error().message();
}

TEST_F(DaemonStartTest, AProgramThatNeverAnswersIsWaitedForNoLongerThanAsked) {
    const Variable mute("PRETEND_MUTE", "1");
    const Nanoseconds deadline = monotonic_now() + 300 * nanoseconds_per_millisecond;
    const auto socket = start_daemon(endpoint_, deadline);
    EXPECT_EQ(socket.condition(), Condition::timed_out) << socket.error().message();
    // TearDown kills it by the pid that it writes first of all; wait until it has.
    for (int round = 0; round < 3000 && fact("pid ").empty(); ++round)
        ::usleep(10'000);
    EXPECT_FALSE(fact("pid ").empty());
}

TEST_F(DaemonStartTest, ADirectoryThatCannotBeMadeNamesTheRemedy) {
    const Endpoint endpoint{scratch_ / "missing/shmq/socket", false};
    const auto socket = start_daemon(endpoint, soon());
    EXPECT_EQ(socket.condition(), Condition::no_daemon);
    EXPECT_NE(socket.error().message().find("XDG_RUNTIME_DIR"), std::string::npos);
}

// ---- Finding the program -----------------------------------------------------------------------

TEST(FindDaemon, TheEnvironmentNamesItAndNothingElseWillDo) {
    const Variable good("SHMQ_SHMQD", "/bin/true");
    ASSERT_TRUE(find_daemon_program());
    const Variable bad("SHMQ_SHMQD", "/nowhere/shmqd");
    const auto program = find_daemon_program();
    EXPECT_EQ(program.condition(), Condition::no_daemon);
    EXPECT_NE(program.error().message().find("/nowhere/shmqd"), std::string::npos);
}

TEST(FindDaemon, ARelativeNameBecomesAWholeOne) {
    const ScratchDirectory scratch;
    std::filesystem::copy_file("/bin/true", scratch / "daemon");
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(scratch.path());
    const Variable named("SHMQ_SHMQD", "./daemon");
    const auto program = find_daemon_program();
    std::filesystem::current_path(before);
    ASSERT_TRUE(program) << program.error().message();
    EXPECT_EQ(*program, std::filesystem::canonical(scratch / "daemon"));
}

}  // namespace
}  // namespace shmq

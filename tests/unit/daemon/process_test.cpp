// What the kernel tells of processes that are not the daemon's children (here they are the test's).
#include "daemon/process.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "unit/daemon/harness.hpp"

namespace shmq::daemon::test {
namespace {

class ProcessTest : public testing::Test {
  protected:
    void start(const std::function<int()>& body) {
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::_exit(body());
        }
        pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    }
    void await_end() {
        siginfo_t info{};
        ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
    }
    ~ProcessTest() override {
        ::kill(pid_, SIGKILL);
        ::kill(pid_, SIGCONT);
        ::waitpid(pid_, nullptr, 0);
    }
    pid_t pid_ = -1;
    Fd pidfd_;
};

int sleep_for_ever() {
    for (;;)
        ::pause();
}

TEST_F(ProcessTest, ASignalIsTold) {
    start([] {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::signal(SIGSEGV, SIG_DFL);
        ::raise(SIGSEGV);
        return 0;
    });
    await_end();
    EXPECT_TRUE(is_exiting(pid_));
    const auto end = how_it_ended(pidfd_.get(), pid_);
    ASSERT_TRUE(end);
    EXPECT_EQ(end->signal, static_cast<std::uint32_t>(SIGSEGV));
    EXPECT_EQ(end->exit_status, 0u);
}

TEST_F(ProcessTest, AnExitIsTold) {
    start([] { return 7; });
    await_end();
    const auto end = how_it_ended(pidfd_.get(), pid_);
    ASSERT_TRUE(end);
    EXPECT_EQ(end->signal, 0u);
    EXPECT_EQ(end->exit_status, 8u) << "+ 1";
}

TEST_F(ProcessTest, TheReapedAreToldOnlyByNewKernels) {
    start([] { return 0; });
    ::waitpid(pid_, nullptr, 0);
    const auto end = how_it_ended(pidfd_.get(), pid_);
    EXPECT_EQ(end.value_or(ProcessEnd{0, 1}).exit_status, 1u);
}

TEST_F(ProcessTest, AStoppedOneIsStoppedUntilItGoesOn) {
    start(sleep_for_ever);
    EXPECT_FALSE(is_stopped(pid_));
    EXPECT_FALSE(is_exiting(pid_));
    ::kill(pid_, SIGSTOP);
    EXPECT_TRUE(eventually([&] { return is_stopped(pid_); }));
    ::kill(pid_, SIGCONT);
    EXPECT_TRUE(eventually([&] { return !is_stopped(pid_); }));
    EXPECT_FALSE(is_stopped(0)) << "of a pid namespace that we do not see";
    EXPECT_FALSE(is_stopped(-1));
}

TEST_F(ProcessTest, OneInAFrozenCgroupIsStopped) {
    std::string group;
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        const std::string path = std::string(mount) + "/shmq-test-" + std::to_string(::getpid());
        if (::access((std::string(mount) + "/cgroup.procs").c_str(), W_OK) == 0 &&
            ::mkdir(path.c_str(), 0755) == 0) {
            group = path;
            break;
        }
    }
    if (group.empty()) GTEST_SKIP() << "no cgroup v2 that we may write to";
    start(sleep_for_ever);
    const auto write = [&](const char* file, const std::string& text) {
        std::ofstream(group + "/" + file) << text;
    };
    write("cgroup.procs", std::to_string(pid_));
    EXPECT_FALSE(is_stopped(pid_));
    write("cgroup.freeze", "1");
    EXPECT_TRUE(eventually([&] { return is_stopped(pid_); }));
    write("cgroup.freeze", "0");
    EXPECT_TRUE(eventually([&] { return !is_stopped(pid_); }));
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return ::rmdir(group.c_str()) == 0; }));
}

}  // namespace
}  // namespace shmq::daemon::test

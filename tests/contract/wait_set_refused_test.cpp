// A kernel that refuses futex_waitv, as one before Linux 5.16 does, or a seccomp filter.
#include "contract/wait_set_contract.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>

namespace shmq {
namespace {

// From now on, in this process.
void refuse_futex_waitv() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{sizeof program / sizeof program[0], program};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0) {
        std::_Exit(77);
    }
}

bool says_so(const Error& error) {
    return error.condition() == Condition::system_error && error.os_error() == ENOSYS &&
           error.message().find("futex_waitv") != std::string::npos;
}

class WaitSetRefused : public testing::Test {
  protected:
    // In a process of its own, with a session of its own. 0: as it should be.
    int in_child(const std::function<bool(Client&)>& body) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            auto client = value_or_throw(Client::connect({.socket = daemon_.socket()}));
            value_or_throw(client.declare("q"));
            std::_Exit(body(client) ? 0 : 1);
        }
        int status = -1;
        ::waitpid(pid, &status, 0);
        return status;
    }

    support::PrivateDaemon daemon_;
};

TEST_F(WaitSetRefused, CreateSaysSo) {
    EXPECT_EQ(in_child([](Client&) {
                  refuse_futex_waitv();
                  const auto set = WaitSet::create();
                  return !set.ok() && says_so(set.error());
              }),
              0);
}

// A program that locks itself up later: no wait spins for ever instead.
TEST_F(WaitSetRefused, SoDoesAWaitLater) {
    EXPECT_EQ(in_child([](Client& client) {
                  auto consumer = value_or_throw(client.consumer("q"));
                  auto set = value_or_throw(WaitSet::create());
                  value_or_throw(set.add(consumer));
                  refuse_futex_waitv();
                  const auto waited = set.wait_for(watchdog);
                  return !waited.ok() && says_so(waited.error()) &&
                         value_or_throw(set.try_wait()).empty();
              }),
              0);
}

TEST_F(WaitSetRefused, SoDoesALoop) {
    EXPECT_EQ(in_child([](Client& client) {
                  auto consumer = value_or_throw(client.consumer("q"));
                  auto set = value_or_throw(WaitSet::create());
                  value_or_throw(set.add(consumer));
                  pollfd event{value_or_throw(set.descriptor()), POLLIN, 0};
                  refuse_futex_waitv();
                  if (::poll(&event, 1, 20'000) != 1 || !value_or_throw(set.try_wait()).empty())
                      return false;
                  if (::poll(&event, 1, 20'000) != 1) return false;
                  const auto looked = set.try_wait();
                  return !looked.ok() && says_so(looked.error());
              }),
              0);
}

}  // namespace
}  // namespace shmq

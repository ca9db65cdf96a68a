#include "step/daemon/system_calls.hpp"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace shmq::step {
namespace {

constexpr int at_system_call = SIGTRAP | 0x80;

[[noreturn]] void give_up(const char* what) {
    std::fprintf(stderr, "step: %s: %s\n", what, std::strerror(errno));
    std::abort();
}

}  // namespace

SystemCalls::SystemCalls(const std::function<int()>& body) : pid_(::fork()) {
    if (pid_ < 0) give_up("fork");
    if (pid_ == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
        ::kill(::getpid(), SIGSTOP);
        ::_exit(body());
    }
    if (::waitpid(pid_, &status_, __WALL) != pid_ || !WIFSTOPPED(status_)) give_up("waitpid");
    ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
}

SystemCalls::SystemCalls(pid_t running) : pid_(running) {
    if (::ptrace(PTRACE_SEIZE, pid_, nullptr, PTRACE_O_TRACESYSGOOD) != 0) give_up("PTRACE_SEIZE");
    if (::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) != 0) give_up("PTRACE_INTERRUPT");
    if (::waitpid(pid_, &status_, __WALL) != pid_ || !WIFSTOPPED(status_)) give_up("waitpid");
}

SystemCalls::~SystemCalls() {
    kill();
}

bool SystemCalls::wait_for_stop(const std::function<bool()>& while_waiting) {
    for (;;) {
        const pid_t found = ::waitpid(pid_, &status_, __WALL | WNOHANG);
        if (found == pid_) break;
        if (found < 0) give_up("waitpid");
        if (!while_waiting()) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    stopped_ = WIFSTOPPED(status_);
    if (!stopped_) pid_ = -1;
    return stopped_;
}

bool SystemCalls::next(const std::function<bool()>& while_waiting) {
    for (;;) {
        if (stopped_ && ::ptrace(PTRACE_SYSCALL, pid_, nullptr, signal_) != 0) give_up("ptrace");
        stopped_ = false;
        signal_ = 0;
        if (!wait_for_stop(while_waiting)) return false;
        const int stop = WSTOPSIG(status_);
        if (stop == at_system_call) return true;
        if (stop != SIGTRAP && stop != SIGSTOP && status_ >> 16 == 0) signal_ = stop;
    }
}

void SystemCalls::kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status_, __WALL) == pid_ && WIFSTOPPED(status_)) {
    }
    pid_ = -1;
}

void SystemCalls::let_go() {
    if (pid_ < 0) return;
    if (!stopped_) {
        ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
        if (!wait_for_stop([] { return true; })) return;
    }
    ::ptrace(PTRACE_DETACH, pid_, nullptr, signal_);
    pid_ = -1;
}

int SystemCalls::run_to_end() {
    while (pid_ >= 0) {
        if (stopped_ && ::ptrace(PTRACE_CONT, pid_, nullptr, signal_) != 0) give_up("PTRACE_CONT");
        stopped_ = false;
        signal_ = 0;
        if (!wait_for_stop([] { return true; })) break;
        const int stop = WSTOPSIG(status_);
        if (stop != SIGTRAP && stop != SIGSTOP && stop != at_system_call) signal_ = stop;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
}

}  // namespace shmq::step

#include "support/namespaces.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <thread>
#include <utility>

#ifndef CLONE_NEWTIME  // Linux 5.6
#define CLONE_NEWTIME 0x00000080
#endif

namespace shmq::support {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr auto patience = seconds(60);  // a watchdog, not a measure

std::string failed(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

std::string make_root(const std::string& root, const std::string& shared) {
    if (::unshare(CLONE_NEWNS) != 0) return failed("unshare of mounts");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        return failed("private mounts");
    }
    ::mkdir(root.c_str(), 0755);
    const std::string inside = root + "/run";
    if (::mount("tmpfs", root.c_str(), "tmpfs", 0, "mode=755") != 0) return failed("tmpfs");
    if (::mkdir(inside.c_str(), 0755) != 0) return failed(inside);
    if (::mount(shared.c_str(), inside.c_str(), nullptr, MS_BIND, nullptr) != 0) {
        return failed("bind mount");
    }
    return {};
}

int run(const std::function<int(Steps&)>& body, Steps& steps) {
    try {
        return body(steps);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "in another namespace: %s\n", problem.what());
        return 99;
    }
}

// It is still to be waited for.
bool has_ended(pid_t pid) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

int status_of(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

std::string enter(const Surroundings& wanted) {
    if (!wanted.root.empty()) {
        if (std::string problem = make_root(wanted.root, wanted.shared); !problem.empty()) {
            return problem;
        }
    }
    if (wanted.uid != 0 && (::setresgid(wanted.uid, wanted.uid, wanted.uid) != 0 ||
                            ::setresuid(wanted.uid, wanted.uid, wanted.uid) != 0)) {
        return failed("another uid");
    }
    const int rest = wanted.namespaces & ~(wanted.root.empty() ? 0 : CLONE_NEWNS);
    if (::unshare(rest) != 0) return failed("unshare");
    if ((rest & CLONE_NEWTIME) != 0) {
        std::ofstream offsets("/proc/self/timens_offsets");
        offsets << "monotonic " << wanted.monotonic_ahead_s << " 0" << std::endl;
        if (!offsets) return failed("/proc/self/timens_offsets");
    }
    if (!wanted.root.empty() && (::chroot(wanted.root.c_str()) != 0 || ::chdir("/") != 0)) {
        return failed("chroot");
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // another uid has none
    return {};
}

std::string why_not(const Surroundings& surroundings) {
    int ends[2];
    if (::pipe(ends) != 0) return failed("pipe");
    const pid_t pid = ::fork();
    if (pid == 0) {
        const std::string problem = enter(surroundings);
        _exit(::write(ends[1], problem.data(), problem.size()) < 0 ? 1 : 0);
    }
    ::close(ends[1]);
    char text[256];
    const ssize_t length = ::read(ends[0], text, sizeof text);
    ::close(ends[0]);
    if (status_of(pid) != 0) return "its process dies";
    return {text, static_cast<std::size_t>(length < 0 ? 0 : length)};
}

void Steps::wait_for_leave(int step) const {
    while (allowed_ < step)
        std::this_thread::sleep_for(milliseconds(1));
}

Neighbour::Neighbour(const Surroundings& surroundings, const std::function<int(Steps&)>& body) {
    void* memory =
        ::mmap(nullptr, sizeof(Steps), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    steps_ = new (memory) Steps;
    outer_ = ::fork();
    if (outer_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (const std::string problem = enter(surroundings); !problem.empty()) {
        std::fprintf(stderr, "%s\n", problem.c_str());
        ::_exit(98);
    }
    const pid_t inner = ::fork();
    if (inner == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::_exit(run(body, *steps_));
    }
    steps_->pid_ = inner;
    ::_exit(status_of(inner) & 0xff);
}

Neighbour::~Neighbour() {
    if (outer_ > 0) {
        ::kill(outer_, SIGKILL);
        status_of(outer_);
    }
    ::munmap(steps_, sizeof(Steps));
}

bool Neighbour::reaches(int step) const {
    const auto until = Clock::now() + patience;
    while (steps_->reached_ < step || steps_->pid_ == 0) {
        if (Clock::now() > until || has_ended(outer_)) return false;
        std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
}

int Neighbour::ends() {
    const auto until = Clock::now() + patience;
    while (!has_ended(outer_) && Clock::now() < until)
        std::this_thread::sleep_for(milliseconds(1));
    if (!has_ended(outer_)) ::kill(outer_, SIGKILL);
    return status_of(std::exchange(outer_, -1));
}

void Neighbour::kill() {
    ::kill(steps_->pid_, SIGKILL);
    status_of(std::exchange(outer_, -1));
}

}  // namespace shmq::support

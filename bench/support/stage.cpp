#include "support/stage.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>

namespace shmq::bench {
namespace {

constexpr int priority = 10;

double measured_nanoseconds_per_tick() {
    constexpr Nanoseconds enough = 5 * nanoseconds_per_millisecond;
    const Nanoseconds start = monotonic_now();
    const std::uint64_t first = ticks();
    while (monotonic_now() - start < enough) {
    }
    return static_cast<double>(monotonic_now() - start) / static_cast<double>(ticks() - first);
}

void take_place(unsigned processor, const Terms& terms) {
    if (terms.pinned) {
        const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(processor % static_cast<unsigned long>(processors), &set);
        ::sched_setaffinity(0, sizeof set, &set);
    }
    if (!terms.real_time) return;
    // In turns: several roles of one processor must not wait for each other's sleep. Where it is
    // not allowed, the run goes on without; the report says whether it is.
    const sched_param param{priority};
    ::sched_setscheduler(0, SCHED_RR, &param);
}

pid_t start_role(const Role& role, Stage& stage, const Terms& terms) {
    const pid_t pid = ::fork();
    if (pid < 0) {
        std::perror("fork");
        std::exit(1);
    }
    if (pid > 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    take_place(role.processor, terms);
    role.play(stage);
    std::fflush(nullptr);
    std::_Exit(0);
}

// Waits for all; kills the rest as soon as one fails or the time is up. Returns what went wrong.
const char* wait_for_all(std::vector<pid_t> pids, Nanoseconds deadline) {
    const char* wrong = nullptr;
    while (!pids.empty()) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid > 0 && std::erase(pids, pid) == 1) {
            if (status != 0 && wrong == nullptr) wrong = "a role failed";
        } else if (pid <= 0) {
            if (monotonic_now() > deadline && wrong == nullptr) wrong = "took too long";
            const timespec nap{0, 2 * nanoseconds_per_millisecond};
            ::nanosleep(&nap, nullptr);
        }
        if (wrong != nullptr) {
            for (const pid_t other : pids)
                ::kill(other, SIGKILL);
        }
    }
    return wrong;
}

}  // namespace

Nanoseconds Stage::start() {
    if (ready.fetch_add(1) + 1 == roles) begun = monotonic_now();
    // Roles may share a processor: who waits lets the others come.
    while (begun == 0)
        ::sched_yield();
    return begun;
}

void Stage::leave() {
    left.fetch_add(1);
    const timespec nap{0, nanoseconds_per_millisecond};
    while (left < roles)
        ::nanosleep(&nap, nullptr);
}

Stage& play(std::span<const Role> roles, const Terms& terms) {
    void* memory =
        ::mmap(nullptr, sizeof(Stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap");
        std::exit(1);
    }
    auto& stage = *new (memory) Stage;
    stage.roles = static_cast<unsigned>(roles.size());
    stage.nanoseconds_per_tick = measured_nanoseconds_per_tick();
    const Nanoseconds deadline =
        monotonic_now() + static_cast<Nanoseconds>(terms.seconds_most * nanoseconds_per_second);
    std::vector<pid_t> pids;
    for (const Role& role : roles)
        pids.push_back(start_role(role, stage, terms));
    if (const char* wrong = wait_for_all(pids, deadline)) {
        std::fprintf(stderr, "%s\n", wrong);
        std::exit(1);
    }
    return stage;
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace shmq::bench

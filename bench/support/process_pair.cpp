#include "support/process_pair.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/clock.hpp"

namespace shmq::bench {
namespace {

struct Stage {
    std::atomic<int> ready;
    std::atomic<Nanoseconds> begun;
    std::atomic<Nanoseconds> ended[2];
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::_Exit(1);
}

void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    ::sched_setaffinity(0, sizeof set, &set);  // with one CPU: stays where it is
}

pid_t start(int which, Stage& stage, const Role& role) {
    const pid_t pid = ::fork();
    if (pid < 0) fail("fork");
    if (pid > 0) return pid;
    pin_to(which);
    role([&stage] {
        if (stage.ready.fetch_add(1) == 1) stage.begun = monotonic_now();
        while (stage.begun == 0) {
        }
    });
    stage.ended[which] = monotonic_now();
    std::_Exit(0);
}

}  // namespace

void* shared_memory(unsigned long bytes) {
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return memory;
}

double run_pair_ns(const Role& first, const Role& second) {
    auto* stage = static_cast<Stage*>(shared_memory(sizeof(Stage)));
    const pid_t pids[2] = {start(0, *stage, first), start(1, *stage, second)};
    for (const pid_t pid : pids) {
        int status = 0;
        if (::waitpid(pid, &status, 0) != pid || status != 0) {
            std::fprintf(stderr, "bench: a role failed (status %d)\n", status);
            std::exit(1);
        }
    }
    const Nanoseconds first_end = stage->ended[0];
    const Nanoseconds second_end = stage->ended[1];
    const auto end = first_end > second_end ? first_end : second_end;
    const auto elapsed = static_cast<double>(end - stage->begun);
    ::munmap(stage, sizeof(Stage));
    return elapsed;
}

}  // namespace shmq::bench

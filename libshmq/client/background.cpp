#include "client/background.hpp"

#include <pthread.h>
#include <sched.h>

#include <csignal>
#include <cstddef>
#include <cstring>

namespace shmq {
namespace {

constexpr std::size_t stack_bytes = std::size_t{256} << 10;

}  // namespace

bool start_background_thread(const char* name, void* (*run)(void*), void* argument) noexcept {
    int policy = SCHED_OTHER;
    sched_param priority{};
    ::pthread_getschedparam(::pthread_self(), &policy, &priority);
    cpu_set_t everywhere;
    std::memset(&everywhere, 0xff, sizeof everywhere);
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0) return false;
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&attributes, stack_bytes);
    ::pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    ::pthread_attr_setaffinity_np(&attributes, sizeof everywhere, &everywhere);
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const struct {
        int policy;
        int priority;
    } choices[] = {
        {policy, priority.sched_priority + 1}, {policy, priority.sched_priority}, {SCHED_OTHER, 0}};
    bool started = false;
    for (const auto& choice : choices) {
        const sched_param wanted{choice.priority};
        pthread_t thread{};
        started = ::pthread_attr_setschedpolicy(&attributes, choice.policy) == 0 &&
                  ::pthread_attr_setschedparam(&attributes, &wanted) == 0 &&
                  ::pthread_create(&thread, &attributes, run, argument) == 0;
        if (!started) continue;
        ::pthread_setname_np(thread, name);
        break;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
    return started;
}

}  // namespace shmq

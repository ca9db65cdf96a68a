#include "cli/signals.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/command.hpp"

namespace shmq::cli {
namespace {

// Signal handlers have no other way to reach anything. Each is written before the handler is
// installed or the value it guards is used, by the only thread there is.
std::atomic<bool> stop_wanted{false};
std::atomic<bool> lease_tick{false};
std::atomic<int> stop_fd{-1};
std::atomic<Producer*> watched_producer{nullptr};
std::atomic<Consumer*> watched_consumer{nullptr};
static_assert(std::atomic<Producer*>::is_always_lock_free);

void stop_watched() {
    if (Producer* producer = watched_producer.load()) producer->stop_waiting();
    if (Consumer* consumer = watched_consumer.load()) consumer->stop_waiting();
}

void on_stop(int) {
    const int saved = errno;
    stop_wanted.store(true);
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_fd.load(), &one, sizeof one));
    stop_watched();
    errno = saved;
}

void on_tick(int) {
    lease_tick.store(true);
}

void install(int signal, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;  // no SA_RESTART: a blocked read or write is to come back
    sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
}

sigset_t mask_before_hold;
bool holding = false;

bool is_ignored(int signal) {
    struct sigaction action {};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void hold_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM})
        sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, &mask_before_hold);
    holding = true;
}

StopSignals::StopSignals() {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) throw Failure(Exit::failed, fmt::format("eventfd: {}", std::strerror(errno)));
    stop_fd.store(fd);
    for (const int signal : {SIGINT, SIGTERM}) {
        if (!is_ignored(signal)) install(signal, on_stop, static_cast<int>(SA_RESETHAND));
    }
    if (std::exchange(holding, false)) ::sigprocmask(SIG_SETMASK, &mask_before_hold, nullptr);
}

StopSignals::~StopSignals() {
    for (const int signal : {SIGINT, SIGTERM}) {
        if (!is_ignored(signal)) install(signal, SIG_DFL, 0);
    }
    watched_producer.store(nullptr);
    watched_consumer.store(nullptr);
    ::close(stop_fd.exchange(-1));
}

void StopSignals::watch(Producer& producer) {
    watched_producer.store(&producer);
    if (stopped()) stop_watched();
}

void StopSignals::watch(Consumer& consumer) {
    watched_consumer.store(&consumer);
    if (stopped()) stop_watched();
}

bool StopSignals::stopped() const {
    return stop_wanted.load();
}

int StopSignals::fd() const {
    return stop_fd.load();
}

bool StopSignals::sleep(std::chrono::milliseconds duration) const {
    pollfd stop{fd(), POLLIN, 0};
    const int found = ::poll(&stop, 1, static_cast<int>(duration.count()));
    return found == 0;
}

LeaseClock::LeaseClock(std::chrono::nanoseconds lease) {
    install(SIGALRM, on_tick, 0);
    const auto third = std::chrono::duration_cast<std::chrono::microseconds>(lease / 3);
    const std::int64_t period_us = std::max<std::int64_t>(third.count(), 1000);
    itimerval timer{};
    timer.it_interval.tv_sec = period_us / 1'000'000;
    timer.it_interval.tv_usec = period_us % 1'000'000;
    timer.it_value = timer.it_interval;
    ::setitimer(ITIMER_REAL, &timer, nullptr);
}

LeaseClock::~LeaseClock() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    install(SIGALRM, SIG_DFL, 0);
}

bool LeaseClock::due() {
    return lease_tick.exchange(false);
}

}  // namespace shmq::cli

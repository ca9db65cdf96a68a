#include "client/fork_guard.hpp"

#include <pthread.h>

namespace shmq::detail {

std::atomic<unsigned> fork_generation_now{0};

namespace {

void raise_generation() {
    fork_generation_now.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void watch_forks() noexcept {
    // Failing to register takes memory that a process this poor will soon miss elsewhere.
    [[maybe_unused]] static const int registered =
        ::pthread_atfork(nullptr, nullptr, raise_generation);
}

}  // namespace shmq::detail

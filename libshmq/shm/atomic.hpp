// The one door to atomics for all of shm/. tests/schedule swaps a scheduled type in behind it, so
// nothing else in this folder includes <atomic>.
//
// Every shared field is an Atomic<T>: address-free, lock-free, as large as T, and valid when filled
// with zero bytes, because a fresh segment is zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef SHMQ_SCHEDULED_ATOMIC

#include "scheduled_atomic.hpp"

namespace shmq::shm {

template <typename T>
using Atomic = schedule::ScheduledAtomic<T>;
using schedule::atomic_fence;
using schedule::cpu_relax;

// Patience is counted in steps of the schedule there: short, so that skips are reached.
constexpr unsigned patience_least = 1;
constexpr unsigned patience_most = 2;

}  // namespace shmq::shm

#else

#include <atomic>

namespace shmq::shm {

template <typename T>
using Atomic = std::atomic<T>;

inline void atomic_fence(std::memory_order order) {
    std::atomic_thread_fence(order);
}

// One breath of a spinning thread.
inline void cpu_relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Breaths to wait for an unfinished claim before going past it; about 2 us and 1 ms.
constexpr unsigned patience_least = 32;
constexpr unsigned patience_most = 16384;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace shmq::shm

#endif

namespace shmq::shm {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

static_assert(sizeof(Atomic<std::uint64_t>) == 8 && alignof(Atomic<std::uint64_t>) == 8);
static_assert(sizeof(Atomic<std::uint32_t>) == 4 && alignof(Atomic<std::uint32_t>) == 4);

// By hand: without a target flag the compiler's builtin only asks for a line to read, and GCC 12
// removes it from inline functions altogether. Processors that do not know it take it for a nop.
inline void prefetch_for_write(const void* address) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#elif defined(__aarch64__)
    asm volatile("prfm pstl1keep, %0" : : "Q"(*static_cast<const char*>(address)));
#else
    __builtin_prefetch(address, 1, 3);
#endif
}

// A counter with one writer: a load and a store, no locked instruction.
inline void bump(Atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
#if defined(__x86_64__) && !defined(SHMQ_SCHEDULED_ATOMIC) && !defined(__SANITIZE_THREAD__)
    // By hand: of relaxed atomics GCC 12 makes three instructions.
    asm("addq %1, %0" : "+m"(counter) : "er"(by) : "cc");
#else
    counter.store(counter.load(memory_order_relaxed) + by, memory_order_relaxed);
#endif
}

}  // namespace shmq::shm

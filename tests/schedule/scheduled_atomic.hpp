// The atomic type that shm/ is built on here: every access hands itself to the scheduler, which may
// let any other task run first. libshmq/shm/atomic.hpp includes this in place of <atomic> when
// SHMQ_SCHEDULED_ATOMIC is defined.
//
// All tasks share one thread, so the value is a plain field and each access is atomic by itself:
// what is explored is every interleaving of accesses, under sequential consistency.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

namespace shmq::schedule {

enum class Access : std::uint8_t { load, store, modified, swapped, refused, fence };

// Whether accesses go through the scheduler now: a task is running, and it is not quiet.
inline bool scheduling = false;

// Under this guard the code of a task, or a hook, touches shared memory without being a step.
class Quiet {
  public:
    Quiet() : before_(scheduling) { scheduling = false; }
    ~Quiet() { scheduling = before_; }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

  private:
    bool before_;
};

// The scheduler's two halves of a step. Between them the access happens and nothing else runs.
void before_access(const void* address);
void after_access(const void* address, Access access, std::uint64_t before, std::uint64_t after);
// Whether a weak compare-exchange is to fail although the value is as expected.
bool fails_for_no_reason();

void atomic_fence(std::memory_order order);
// A spinning task asks that others run.
void cpu_relax();

template <typename T>
class ScheduledAtomic {
  public:
    constexpr ScheduledAtomic() noexcept = default;
    constexpr explicit ScheduledAtomic(T value) noexcept : value_(value) {}
    ScheduledAtomic(const ScheduledAtomic&) = delete;
    ScheduledAtomic& operator=(const ScheduledAtomic&) = delete;

    T load(std::memory_order = std::memory_order_seq_cst) const {
        if (!scheduling) return value_;
        before_access(&value_);
        const T present = value_;
        after_access(&value_, Access::load, present, present);
        return present;
    }
    void store(T desired, std::memory_order = std::memory_order_seq_cst) {
        modify(Access::store, [&](T) { return desired; });
    }
    T exchange(T desired, std::memory_order = std::memory_order_seq_cst) {
        return modify(Access::modified, [&](T) { return desired; });
    }
    T fetch_add(T by, std::memory_order = std::memory_order_seq_cst) {
        return modify(Access::modified, [&](T present) { return static_cast<T>(present + by); });
    }
    T fetch_sub(T by, std::memory_order = std::memory_order_seq_cst) {
        return modify(Access::modified, [&](T present) { return static_cast<T>(present - by); });
    }
    T fetch_or(T bits, std::memory_order = std::memory_order_seq_cst) {
        return modify(Access::modified, [&](T present) { return static_cast<T>(present | bits); });
    }

    bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
        return swap(expected, desired, false);
    }
    bool compare_exchange_strong(T& expected, T desired,
                                 std::memory_order = std::memory_order_seq_cst) {
        return swap(expected, desired, false);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order, std::memory_order) {
        return swap(expected, desired, true);
    }
    bool compare_exchange_weak(T& expected, T desired,
                               std::memory_order = std::memory_order_seq_cst) {
        return swap(expected, desired, true);
    }

  private:
    template <typename Change>
    T modify(Access access, Change change) {
        const bool scheduled = scheduling;
        if (scheduled) before_access(&value_);
        const T present = value_;
        value_ = change(present);
        if (scheduled) after_access(&value_, access, present, value_);
        return present;
    }

    bool swap(T& expected, T desired, bool weak) {
        const bool scheduled = scheduling;
        if (scheduled) before_access(&value_);
        const T present = value_;
        if (present != expected || (scheduled && weak && fails_for_no_reason())) {
            if (scheduled) after_access(&value_, Access::refused, expected, present);
            expected = present;
            return false;
        }
        value_ = desired;
        if (scheduled) after_access(&value_, Access::swapped, present, desired);
        return true;
    }

    T value_{};
};

// False: timed out. Without `may_time_out` only a wake-up, or a changed word, ends it.
bool futex_wait(ScheduledAtomic<std::uint32_t>& word, std::uint32_t value, bool may_time_out);
// The same for any of several words, none of which is looked at apart from the others.
struct WatchedWord {
    ScheduledAtomic<std::uint32_t>* word = nullptr;
    std::uint32_t value = 0;
};
bool futex_wait_any(std::span<const WatchedWord> words, bool may_time_out);
std::uint32_t futex_wake(ScheduledAtomic<std::uint32_t>& word, std::uint32_t count);
// Under sequential consistency there is nothing to do; it is a step all the same.
bool barrier_everywhere();

}  // namespace shmq::schedule

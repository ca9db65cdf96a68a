// What stands behind WaitSet: its consumers' cores, and how it waits for them. One thread at a
// time, with all its consumers; stop_waiting any.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <shmq/wait_set.hpp>

#include "base/clock.hpp"
#include "client/cores.hpp"
#include "client/fork_guard.hpp"
#include "client/many_waits.hpp"
#include "client/one_thread.hpp"
#include "client/ready_watch.hpp"

namespace shmq {

class WaitSetCore {
  public:
    static_assert(WaitSet::size_max == ManyWaits::places_max);

    WaitSetCore() = default;
    ~WaitSetCore();
    WaitSetCore(const WaitSetCore&) = delete;
    WaitSetCore& operator=(const WaitSetCore&) = delete;

    Result<void> add(ConsumerCore* core, Consumer* handle) noexcept;
    Result<void> remove(ConsumerCore* core) noexcept;
    // The consumer goes.
    void forget(ConsumerCore& core) noexcept;
    std::size_t size() const noexcept { return cores_.size(); }

    Result<WaitSet::Ready> wait(Nanoseconds deadline) noexcept;
    Result<WaitSet::Ready> try_wait() noexcept;
    Result<int> descriptor() noexcept;
    Result<WaitSet::Sleep> prepare() noexcept;
    void stop_waiting() noexcept {
        if (!fork_.forked()) waits_.stop();
    }

  private:
    auto look() noexcept {
        return [this](WaitPlace& place, bool thorough) {
            cores_[static_cast<std::size_t>(&place - places_.data())]->look(place, thorough);
        };
    }
    OneThread::Use in_use() const noexcept { return {one_thread_, name_, fork_}; }
    void settle() noexcept;
    void tell_descriptor() noexcept;
    bool all_at_limit() const noexcept;
    WaitSet::Ready ready() noexcept;

    ForkGuard fork_;
    [[no_unique_address]] OneThread one_thread_;
    std::string name_ = "(a wait set)";  // for who breaks the rule
    std::vector<ConsumerCore*> cores_;
    std::vector<WaitPlace> places_;  // by the same index
    std::vector<Consumer*> ready_;   // as told last; has room for all
    std::size_t first_ = 0;          // to be told of
    ManyWaits waits_;
    std::unique_ptr<ReadyWatch> watch_;  // once somebody has asked for its descriptor
    bool prepared_ = false;              // registered for a sleep of the program's own
    std::array<FutexWord, ManyWaits::places_max> words_;
};

}  // namespace shmq

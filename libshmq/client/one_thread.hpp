// One thread at a time for each handle and what came from it: here a build for finding faults sees
// to it that who breaks the rule is told. Debug builds define SHMQ_CHECK_THREADS, and a call that
// meets another thread's call on the same handle ends the process, naming queue and threads. In
// every other build nothing of this is left.
//
// Handing a handle from thread to thread is within the rules, and so is taking turns under a lock:
// only calls that overlap are told.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "client/fork_guard.hpp"

namespace shmq {

#ifdef SHMQ_CHECK_THREADS

class OneThread {
    struct State {
        std::atomic<int> thread{0};  // that is in a call; 0: none
    };

  public:
    // A call on the handle, from its begin to its end. The handle may go within it.
    class Use {
      public:
        // A child of fork is not looked at: it may have been made in the midst of another thread's
        // call, which goes on in the parent alone.
        Use(const OneThread& handle, const std::string& queue, const ForkGuard& fork);
        ~Use() {
            // Relaxed: an order between threads that break the rule would hide it from others.
            if (state_ != nullptr) state_->thread.store(0, std::memory_order_relaxed);
        }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

      private:
        std::shared_ptr<State> state_;  // null: within another call of the same thread
    };

  private:
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

#else

struct OneThread {
    struct Use {
        Use(const OneThread&, const std::string&, const ForkGuard&) noexcept {}
        ~Use() {}  // a variable of its own, though unused
    };
};

#endif

}  // namespace shmq

// Notices fork: handles of the parent are of no use in the child, where the shared memory is not
// mapped and the session to the daemon would have two speakers.
#pragma once

#include <atomic>

namespace shmq {

namespace detail {
extern std::atomic<unsigned> fork_generation_now;
// Registers the handler that raises the generation in each child; later calls do nothing.
void watch_forks() noexcept;
}  // namespace detail

// Differs between a process and the children it forks; one relaxed load.
inline unsigned fork_generation() noexcept {
    return detail::fork_generation_now.load(std::memory_order_relaxed);
}

// Remembers the process it was made in.
class ForkGuard {
  public:
    ForkGuard() noexcept {
        detail::watch_forks();
        born_ = fork_generation();
    }
    // True in a child forked since.
    bool forked() const noexcept { return fork_generation() != born_; }

  private:
    unsigned born_;
};

}  // namespace shmq

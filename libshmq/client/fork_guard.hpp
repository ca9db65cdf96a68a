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
        born_ = usable_in_ = fork_generation();
    }
    // True in a child forked since.
    bool forked() const noexcept { return fork_generation() != born_; }
    // Whether the handle is neither in a child nor closed: one look for both.
    bool usable() const noexcept { return fork_generation() == usable_in_; }
    void close() noexcept { usable_in_ = ~born_; }
    bool closed() const noexcept { return usable_in_ != born_; }

  private:
    unsigned born_;
    unsigned usable_in_;
};

}  // namespace shmq

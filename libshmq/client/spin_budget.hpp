// How long to spin before a sleep.
#pragma once

#include <algorithm>

namespace shmq {

// Rounds of one spin: they grow while spinning pays and shrink while it does not. About 4 to 60 us;
// a sleep and its wake-up cost 5 to 50, as the machine is.
constexpr unsigned spins_least = 16;
constexpr unsigned spins_most = 256;

// Where both sides of a dialogue have come to sleep, each waits for the other's wake-up, and a spin
// that is shorter than that never sees what a longer one would save. So after some waits in vain
// one goes to the full; if that pays, the next ones do, too; if not, twice as many waits pass
// before it is tried again (docs/decisions/0055-a-long-spin-once-in-a-while.md).
class SpinBudget {
  public:
    static constexpr unsigned waits_before_try_least = 8;
    static constexpr unsigned waits_before_try_most = 1024;

    // 0: never spin.
    explicit SpinBudget(unsigned rounds) noexcept : rounds_(rounds) {}

    bool may_spin() const noexcept { return rounds_ != 0; }
    // Of the spin that begins now; then say what came of it.
    unsigned rounds() const noexcept { return tries() ? spins_most : rounds_; }
    void paid() noexcept {
        rounds_ = tries() ? spins_most : std::min(rounds_ * 2, spins_most);
        in_vain_ = 0;
        waits_before_try_ = waits_before_try_least;
    }
    void was_in_vain() noexcept {
        if (!may_spin()) return;
        if (tries()) {
            waits_before_try_ = std::min(2 * waits_before_try_, waits_before_try_most);
            in_vain_ = 0;
        }
        ++in_vain_;
        rounds_ = std::max(rounds_ / 2, spins_least);
    }

  private:
    bool tries() const noexcept { return in_vain_ >= waits_before_try_; }

    unsigned rounds_;
    unsigned in_vain_ = 0;  // in a row
    unsigned waits_before_try_ = waits_before_try_least;
};

}  // namespace shmq

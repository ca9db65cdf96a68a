#include "daemon/timers.hpp"

#include <utility>

#include "base/check.hpp"

namespace shmq::daemon {

Timer::~Timer() {
    if (timers_ != nullptr) timers_->disarm(*this);
}

Timers::~Timers() {
    SHMQ_CHECK(by_due_.empty());
}

void Timers::arm(Timer& timer, Nanoseconds due, std::function<void()> action) {
    disarm(timer);
    if (due == no_deadline) return;
    timer.timers_ = this;
    timer.action_ = std::move(action);
    timer.place_ = by_due_.emplace(due, &timer);
}

void Timers::disarm(Timer& timer) {
    if (!timer.armed()) return;
    SHMQ_CHECK(timer.timers_ == this);
    by_due_.erase(timer.place_);
    timer.timers_ = nullptr;
    timer.action_ = nullptr;
}

Nanoseconds Timers::next() const {
    return by_due_.empty() ? no_deadline : by_due_.begin()->first;
}

void Timers::run_due(Nanoseconds now) {
    // As many as are due at the start: an action that arms itself for a time already past must not
    // keep the loop from its descriptors.
    std::size_t left = 0;
    for (auto it = by_due_.begin(); it != by_due_.end() && it->first <= now; ++it)
        ++left;
    while (left-- > 0 && !by_due_.empty() && by_due_.begin()->first <= now) {
        Timer& timer = *by_due_.begin()->second;
        const std::function<void()> action = std::move(timer.action_);
        disarm(timer);
        action();
    }
}

}  // namespace shmq::daemon

#include <shmq/wait_set.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "client/guarded.hpp"
#include "client/wait_set_core.hpp"

namespace shmq {
namespace {

Error refused_error(int os_error) {
    return {Condition::system_error,
            std::string("the kernel refuses futex_waitv (") + std::strerror(os_error) +
                "), by which one sleeps on many queues: it takes Linux 5.16, and a seccomp filter "
                "that knows it; or wait for each queue in a thread of its own",
            os_error};
}

Result<WaitSet::Ready> refused(int os_error) noexcept {
    return guarded([&]() -> Result<WaitSet::Ready> { return refused_error(os_error); });
}

Error not_of_this_set() {
    return {Condition::invalid_argument, "the consumer is not in this wait set"};
}

}  // namespace

// ---- The core ----------------------------------------------------------------------------------

WaitSetCore::~WaitSetCore() {
    if (fork_.forked()) {
        static_cast<void>(watch_.release());  // its thread is the parent's
    } else {
        settle();
    }
    for (ConsumerCore* core : cores_)
        core->join(nullptr, nullptr);
}

// Ends whatever sleep is under way for the set. A wake-up that a sleep of the program's own has
// used up is passed on.
void WaitSetCore::settle() noexcept {
    if (watch_) watch_->disarm();
    if (!prepared_) return;
    prepared_ = false;
    ManyWaits::leave(places_);
    ManyWaits::look_at_all(places_, false, look());
    ManyWaits::pass_on(places_);
}

// So that its reader comes back to try_wait, which arms it again.
void WaitSetCore::tell_descriptor() noexcept {
    if (watch_) watch_->tell();
}

Result<void> WaitSetCore::add(ConsumerCore* core, Consumer* handle) noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    if (core == nullptr || !core->usable_in_set()) return Condition::closed;
    return guarded([&]() -> Result<void> {
        if (core->set() != nullptr) {
            return Error(Condition::invalid_argument,
                         "the consumer is in a wait set already: a consumer is in one at a time");
        }
        if (cores_.size() == WaitSet::size_max) {
            return Error(Condition::invalid_argument,
                         "a wait set has at most " + std::to_string(WaitSet::size_max) +
                             " consumers, for the kernel waits for no more words at once: use "
                             "several sets, each in a thread or by its descriptor");
        }
        settle();
        const std::size_t size = cores_.size() + 1;
        cores_.reserve(size);
        places_.reserve(size);
        ready_.reserve(size);
        cores_.push_back(core);
        places_.push_back(core->place());
        core->join(this, handle);
        tell_descriptor();
        return {};
    });
}

Result<void> WaitSetCore::remove(ConsumerCore* core) noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    if (core == nullptr) return Condition::closed;
    if (core->set() != this) return guarded([]() -> Result<void> { return not_of_this_set(); });
    forget(*core);
    return {};
}

void WaitSetCore::forget(ConsumerCore& core) noexcept {
    if (!fork_.forked()) {
        settle();
        tell_descriptor();
    }
    const auto found = std::find(cores_.begin(), cores_.end(), &core);
    places_.erase(places_.begin() + (found - cores_.begin()));
    cores_.erase(found);
    core.join(nullptr, nullptr);
}

bool WaitSetCore::all_at_limit() const noexcept {
    return std::all_of(places_.begin(), places_.end(), [](const WaitPlace& place) {
        return place.status == shm::ReceiveStatus::limit;
    });
}

// From first_ on, which moves: whoever takes but the first of those told serves them all in turn.
WaitSet::Ready WaitSetCore::ready() noexcept {
    ready_.clear();
    const std::size_t size = cores_.size();
    const std::size_t from = size != 0 ? first_ % size : 0;
    for (std::size_t step = 0; step < size; ++step) {
        const std::size_t index = (from + step) % size;
        if (!places_[index].tells()) continue;
        if (ready_.empty()) first_ = index + 1;
        ready_.push_back(cores_[index]->handle());
    }
    return ready_;
}

Result<WaitSet::Ready> WaitSetCore::try_wait() noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    settle();
    const bool thorough = watch_ && watch_->timed_out();
    bool any = ManyWaits::look_at_all(places_, thorough, look());
    if (!watch_) return ready();
    if (watch_->refused_with() != 0) return refused(watch_->refused_with());
    if (!any) {
        watch_->clear();
        any = !ManyWaits::prepare(places_, false, look());
        if (!any) watch_->arm(places_);
    }
    if (any) watch_->tell();
    return ready();
}

Result<int> WaitSetCore::descriptor() noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    if (!watch_) watch_ = ReadyWatch::start();
    if (!watch_) {
        return guarded([]() -> Result<int> {
            return Error(Condition::system_error,
                         "no thread or no descriptor is to be had for the wait set's descriptor; "
                         "look at the limits of processes and open files (`ulimit -a`)",
                         EAGAIN);
        });
    }
    settle();
    watch_->tell();
    return watch_->descriptor();
}

Result<WaitSet::Sleep> WaitSetCore::prepare() noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    settle();
    tell_descriptor();
    const bool any = ManyWaits::look_at_all(places_, false, look());
    if (!any && all_at_limit() && !cores_.empty()) return Condition::in_flight_limit;
    if (any || !ManyWaits::prepare(places_, false, look())) return WaitSet::Sleep{};
    prepared_ = true;
    std::size_t count = 0;
    for (const WaitPlace& place : places_) {
        if (!place.registered) continue;
        const shm::WaitWord word = shm::word_of(place.point(), place.ticket);
        words_[count++] = {word.value, word.address, word.flags, 0};
    }
    return WaitSet::Sleep{{words_.data(), count},
                          std::chrono::nanoseconds(ManyWaits::longest_sleep(places_))};
}

Result<WaitSet::Ready> WaitSetCore::wait(Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    settle();
    tell_descriptor();
    if (cores_.empty())
        return guarded([]() -> Result<WaitSet::Ready> {
            return Error(Condition::invalid_argument, "the wait set has no consumers");
        });
    // Before the spin: where all hold as much as they may, nobody else can change that.
    if (ManyWaits::look_at_all(places_, false, look())) return ready();
    if (all_at_limit()) return Condition::in_flight_limit;
    const ManyWaits::End end = waits_.until(places_, deadline, look());
    if (waits_.slept()) {
        for (std::size_t index = 0; index < cores_.size(); ++index) {
            if (places_[index].tells()) cores_[index]->slept();
        }
    }
    switch (end) {
        case ManyWaits::End::ready:
            return ready();
        case ManyWaits::End::timed_out:
            return Condition::timed_out;
        case ManyWaits::End::interrupted:
            return Condition::interrupted;
        case ManyWaits::End::refused:
            break;
    }
    return refused(waits_.refused_with());
}

// ---- The handle --------------------------------------------------------------------------------

void WaitSet::Drop::operator()(WaitSetCore* core) const noexcept {
    delete core;
}

WaitSet::WaitSet(WaitSet&& other) noexcept = default;
WaitSet& WaitSet::operator=(WaitSet&& other) noexcept = default;
WaitSet::~WaitSet() = default;

Result<WaitSet> WaitSet::create() noexcept {
    return guarded([]() -> Result<WaitSet> {
        const int refused = shm::why_no_wait_any();
        if (refused != 0) return refused_error(refused);
        return WaitSet(new WaitSetCore);
    });
}

Result<void> WaitSet::add(Consumer& consumer) noexcept {
    if (!core_) return Condition::closed;
    return core_->add(consumer.core_.get(), &consumer);
}

Result<void> WaitSet::remove(Consumer& consumer) noexcept {
    if (!core_) return Condition::closed;
    return core_->remove(consumer.core_.get());
}

std::size_t WaitSet::size() const noexcept {
    return core_ ? core_->size() : 0;
}

Result<WaitSet::Ready> WaitSet::wait() noexcept {
    if (!core_) return Condition::closed;
    return core_->wait(no_deadline);
}

Result<WaitSet::Ready> WaitSet::wait_until(Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->wait(to_deadline(deadline));
}

Result<WaitSet::Ready> WaitSet::try_wait() noexcept {
    if (!core_) return Condition::closed;
    return core_->try_wait();
}

Result<int> WaitSet::descriptor() noexcept {
    if (!core_) return Condition::closed;
    return core_->descriptor();
}

Result<WaitSet::Sleep> WaitSet::prepare() noexcept {
    if (!core_) return Condition::closed;
    return core_->prepare();
}

void WaitSet::stop_waiting() noexcept {
    if (core_) core_->stop_waiting();
}

}  // namespace shmq

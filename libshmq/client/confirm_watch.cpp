#include "client/confirm_watch.hpp"

#include <sys/eventfd.h>

#include <new>

#include "base/clock.hpp"
#include "client/background.hpp"
#include "shm/wait.hpp"

namespace shmq {
namespace {

// Should the daemon die between confirming and waking us.
constexpr Nanoseconds look_again_ns = 100 * nanoseconds_per_millisecond;

}  // namespace

std::unique_ptr<ConfirmWatch> ConfirmWatch::start(shm::JournalArea& area) noexcept {
    Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return nullptr;
    std::unique_ptr<ConfirmWatch> watch(new (std::nothrow) ConfirmWatch(area, std::move(event)));
    if (watch == nullptr) return nullptr;
    if (!start_background_thread("shmq-confirms", run, watch.get())) {
        watch->ended_ = true;
        return nullptr;
    }
    return watch;
}

ConfirmWatch::Reached ConfirmWatch::reached() const noexcept {
    return {area_.logged.load(shm::memory_order_acquire),
            area_.durable.load(shm::memory_order_acquire),
            area_.confirms_end.load(shm::memory_order_acquire)};
}

ConfirmWatch::~ConfirmWatch() {
    stop_ = true;
    while (!ended_.load()) {
        shm::wake_all(area_.confirms);
        ended_.wait(false);
    }
}

void* ConfirmWatch::run(void* self) noexcept {
    auto& watch = *static_cast<ConfirmWatch*>(self);
    watch.watch();
    watch.ended_ = true;
    watch.ended_.notify_all();
    return nullptr;
}

void ConfirmWatch::watch() noexcept {
    for (;;) {
        const shm::WaitTicket ticket = shm::register_waiter(area_.confirms, false);
        const Reached now = reached();
        const bool news = now != told_;
        const bool stop = stop_.load();
        if (!news && !stop)
            shm::wait(area_.confirms, ticket, deadline_after(monotonic_now(), look_again_ns));
        shm::leave_waiters(area_.confirms, ticket);
        if (stop) return;
        if (!news) continue;
        told_ = now;
        ::eventfd_write(event_.get(), 1);  // full is told
    }
}

}  // namespace shmq

#include "client/ready_watch.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/clock.hpp"
#include "client/background.hpp"

namespace shmq {
namespace {

// Whether something is there since the place was registered, by what all can see: the consumer's
// own state is its thread's. An exclusive one is alone.
bool has_news(const WaitPlace& place) noexcept {
    shm::QueueView& view = place.side->view();
    if (place.side->exclusive()) return false;
    if (view.map.returns() != place.returns) return true;
    shm::Cursor cursor;
    cursor.next = view.header->head.load(shm::memory_order_relaxed);
    return view.ring.any_ready(cursor, true);
}

// Whether somebody woke who waits there: the wake-up that began this sleep may come late, too.
bool moved(std::span<const WaitPlace> places) noexcept {
    return std::any_of(places.begin(), places.end(), [](const WaitPlace& place) {
        return place.registered && place.point().signal.load() != place.ticket.signal;
    });
}

}  // namespace

std::unique_ptr<ReadyWatch> ReadyWatch::start() noexcept {
    Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return nullptr;
    std::unique_ptr<ReadyWatch> watch(new (std::nothrow) ReadyWatch(std::move(event)));
    if (watch == nullptr) return nullptr;
    if (!start_background_thread("shmq-ready", run, watch.get())) {
        watch->state_ = left;
        return nullptr;
    }
    return watch;
}

ReadyWatch::~ReadyWatch() {
    change(idle, leaving);
    await(left);
}

void ReadyWatch::tell() noexcept {
    ::eventfd_write(event_.get(), 1);  // full is told
}

void ReadyWatch::clear() noexcept {
    eventfd_t times = 0;
    ::eventfd_read(event_.get(), &times);
}

// The thread sleeps on the state, while armed together with the queues' words.
void ReadyWatch::change(State from, State to) noexcept {
    std::uint32_t expected = from;
    if (!state_.compare_exchange_strong(expected, to)) return;
    state_.notify_all();
    shm::wake_private(state_);
}

void ReadyWatch::await(State state) noexcept {
    for (std::uint32_t now = state_.load(); now != state; now = state_.load())
        state_.wait(now);
}

void ReadyWatch::arm(std::span<const WaitPlace> places) noexcept {
    count_ = places.size();
    std::copy(places.begin(), places.end(), places_.begin());
    change(idle, armed);
}

void ReadyWatch::disarm() noexcept {
    change(armed, recalled);
    await(idle);
}

void* ReadyWatch::run(void* self) noexcept {
    auto& watch = *static_cast<ReadyWatch*>(self);
    watch.watch();
    watch.state_ = left;
    watch.state_.notify_all();
    return nullptr;
}

void ReadyWatch::watch() noexcept {
    for (;;) {
        const std::uint32_t state = state_.load();
        if (state == leaving) return;
        if (state == idle) {
            state_.wait(idle);
            continue;
        }
        sleep();
        state_ = idle;
        state_.notify_all();
    }
}

// Told first: the rest is for others.
void ReadyWatch::sleep() noexcept {
    const std::span<WaitPlace> places(places_.data(), count_);
    std::array<shm::WaitWord, shm::wait_words_max> words;
    words[0] = shm::private_word(state_, armed);
    const std::size_t count = 1 + ManyWaits::words_of(places, words.data() + 1);
    const Nanoseconds end = deadline_after(monotonic_now(), ManyWaits::longest_sleep(places));
    do {
        ended_by_ = shm::wait_any({words.data(), count}, end);
    } while (ended_by_ == shm::WaitEnd::interrupted ||
             (ended_by_ == shm::WaitEnd::signalled && state_.load() == armed && !moved(places)));
    if (ended_by_ == shm::WaitEnd::refused) refused_with_ = errno;
    tell();
    ManyWaits::leave(places);
    for (const WaitPlace& place : places) {
        if (has_news(place)) shm::wake(place.point(), 1);
    }
}

}  // namespace shmq

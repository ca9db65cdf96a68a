#include "daemon/io/io.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace shmq::daemon {

Source::~Source() {
    if (io_ != nullptr) io_->forget(*this);
}

std::unique_ptr<Io> Io::create(IoChoice choice, std::string& refusal) {
    refusal.clear();
    if (choice != IoChoice::epoll) {
        if (auto io = create_uring(refusal)) return io;
        if (choice == IoChoice::uring) return nullptr;
    } else {
        refusal = "epoll was asked for";
    }
    std::string epoll_refusal;
    auto io = create_epoll(epoll_refusal);
    if (io == nullptr) refusal += "; " + epoll_refusal;
    return io;
}

Io::~Io() {
    SHMQ_CHECK(watched_count() == 0);
}

void Io::watch(Source& source, int fd, unsigned events, Priority priority,
               Source::Handler handler) {
    SHMQ_CHECK(!source.watched());
    SHMQ_CHECK(fd >= 0);
    if (vacant_.empty()) {
        vacant_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const std::uint32_t index = vacant_.back();
    vacant_.pop_back();
    Slot& slot = slots_[index];
    slot.source = &source;
    slot.fd = fd;
    slot.events = events;
    source.io_ = this;
    source.slot_ = index;
    source.priority_ = priority;
    source.handler_ = std::move(handler);
    arm(token_of(index), fd, events);
}

void Io::forget(Source& source) {
    if (!source.watched()) return;
    SHMQ_CHECK(source.io_ == this);
    const std::uint32_t index = source.slot_;
    disarm(token_of(index), slots_[index].fd);
    // Events of this source that are already on their way carry the old generation.
    slots_[index] = Slot{.generation = slots_[index].generation + 1};
    vacant_.push_back(index);
    source.io_ = nullptr;
}

void Io::change(Source& source, unsigned events) {
    SHMQ_CHECK(source.io_ == this);
    const std::uint32_t index = source.slot_;
    Slot& slot = slots_[index];
    if (slot.events == events) return;
    disarm(token_of(index), slot.fd);
    // Nothing collected is lost: arming reports whatever is ready now.
    slot.generation += 1;
    slot.ready = 0;
    slot.queued = false;
    slot.events = events;
    arm(token_of(index), slot.fd, events);
}

bool Io::is_current(Token token) const {
    const std::uint32_t index = slot_of(token);
    return index < slots_.size() && slots_[index].source != nullptr && token_of(index) == token;
}

int Io::descriptor_of(Token token) const {
    SHMQ_CHECK(is_current(token));
    return slots_[slot_of(token)].fd;
}

unsigned Io::events_of(Token token) const {
    SHMQ_CHECK(is_current(token));
    return slots_[slot_of(token)].events;
}

void Io::mark_ready(Token token, unsigned events) {
    if (!is_current(token)) return;
    Slot& slot = slots_[slot_of(token)];
    slot.ready |= events;
    if (slot.queued) return;
    slot.queued = true;
    ready_[static_cast<std::size_t>(slot.source->priority_)].push_back(token);
}

void Io::run(Token token) {
    if (!is_current(token)) return;
    Slot& slot = slots_[slot_of(token)];
    Source* source = slot.source;
    const unsigned events = slot.ready;
    slot.ready = 0;
    slot.queued = false;
    // The handler may destroy its source, and with it itself: it runs from here.
    Source::Handler handler = std::exchange(source->handler_, nullptr);
    const Progress progress = handler(events);
    if (slot_of(token) >= slots_.size() || slots_[slot_of(token)].source != source) return;
    if (source->handler_ == nullptr) source->handler_ = std::move(handler);
    // change() gave it a new token, under which it goes on.
    if (progress == Progress::more) mark_ready(token_of(source->slot_), events);
}

Nanoseconds Io::round(Nanoseconds deadline) {
    const bool waiting =
        ready_[0].empty() && ready_[1].empty() && ready_[2].empty() && deadline > 0;
    Nanoseconds wait_ns = 0;
    if (waiting && deadline == no_deadline) {
        wait_ns = no_deadline;
    } else if (waiting) {
        wait_ns = std::max<Nanoseconds>(0, deadline - monotonic_now());
    }
    const Nanoseconds begun = monotonic_now();
    collect(wait_ns);
    const Nanoseconds waited = wait_ns == 0 ? 0 : monotonic_now() - begun;

    std::vector<Token> batch;
    for (auto& queue : ready_)
        batch.insert(batch.end(), queue.begin(), queue.end());
    for (auto& queue : ready_)
        queue.clear();
    for (const Token token : batch)
        run(token);
    return waited;
}

}  // namespace shmq::daemon

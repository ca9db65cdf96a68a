#include "daemon/events.hpp"

#include <utility>

#include "base/check.hpp"
#include "daemon/journal/wall_clock.hpp"
#include "daemon/queue.hpp"

namespace shmq::daemon {
namespace {

thread_local Events* current = nullptr;

}  // namespace

wire::Event Watcher::take() {
    SHMQ_CHECK(!waiting_.empty());
    wire::Event event = std::move(waiting_.front());
    waiting_.pop_front();
    return event;
}

Events::Events() = default;

Events::~Events() {
    SHMQ_CHECK(watchers_.empty());
    if (current == this) current = nullptr;
}

void Events::set_current(Events* events) {
    current = events;
}

void Events::join(Watcher& watcher, const Caller& caller, std::string queue,
                  std::function<void()> ready) {
    watcher.caller_ = caller;
    watcher.queue_ = std::move(queue);
    watcher.ready_ = std::move(ready);
    watchers_.push_back(&watcher);
    watcher.place_ = std::prev(watchers_.end());
}

void Events::leave(Watcher& watcher) {
    watchers_.erase(watcher.place_);
}

void Events::tell(const Queue* queue, wire::Event event) {
    if (queue != nullptr) event.queue = queue->name();
    event.time_ns = static_cast<std::uint64_t>(monotonic_now() + journal::wall_clock_ahead());
    for (Watcher* watcher : watchers_) {
        if (queue != nullptr && !may(watcher->caller_, queue->ownership(), Right::any)) continue;
        if (!watcher->queue_.empty() && watcher->queue_ != event.queue) continue;
        if (watcher->waiting_.size() == waiting_most) {
            ++watcher->lost_;
            continue;
        }
        event.lost = std::exchange(watcher->lost_, 0);
        watcher->waiting_.push_back(event);
        if (watcher->waiting_.size() == 1) watcher->ready_();
    }
}

void tell(std::string_view kind, const Queue* queue, std::string text, std::uint32_t pid,
          std::uint64_t count) {
    if (!anybody_watches()) return;
    wire::Event event;
    event.kind = kind;
    event.text = std::move(text);
    event.pid = pid;
    event.count = count;
    current->tell(queue, std::move(event));
}

bool anybody_watches() {
    return current != nullptr && current->anybody();
}

}  // namespace shmq::daemon

#include "client/cores.hpp"

namespace shmq {

HandleCore::HandleCore(std::shared_ptr<Session> session, std::string_view name,
                       Attachment& attachment)
    : session_(std::move(session)),
      name_(name),
      segment_(std::move(attachment.segment)),
      number_(attachment.number),
      clock_ahead_(attachment.clock_ahead) {}

// In a child of fork the mapping is gone and its addresses may be in use for something else.
HandleCore::~HandleCore() {
    if (fork_.forked()) static_cast<void>(segment_.release());
}

shm::QueueView HandleCore::view() const noexcept {
    return shm::QueueView(segment_->ring_base(), segment_->pool_base(), segment_->geometry());
}

Error HandleCore::closed_error() const noexcept {
    const auto status = static_cast<shm::QueueStatus>(
        segment_->header().items.closed.load(shm::memory_order_relaxed));
    try {
        if (status == shm::QueueStatus::quarantined) {
            return {Condition::quarantined, "queue " + name_ +
                                                " was found damaged and is out of service; its "
                                                "manager may look at it and remove it"};
        }
        return {Condition::queue_removed, "queue removed: " + name_};
    } catch (...) {
        return status == shm::QueueStatus::quarantined ? Condition::quarantined
                                                       : Condition::queue_removed;
    }
}

Error HandleCore::paused_error(Condition condition) const noexcept {
    try {
        return {condition, "queue " + name_ + " is paused; `shmq resume` lets it go on"};
    } catch (...) {
        return condition;
    }
}

// An answer that fails changes nothing: the daemon takes the number back when the session ends.
void HandleCore::detach() noexcept {
    static_cast<void>(session_->detach(name_, number_));
    session_.reset();
}

}  // namespace shmq

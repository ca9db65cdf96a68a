#include <shmq/error.hpp>

#include <cstring>

namespace shmq {
namespace {

struct Row {
    Condition condition;
    const char* name;
    // What happened, and the remedy: for errors that come from hot calls without a text of their
    // own.
    const char* text;
};

constexpr Row rows[] = {
    {Condition::nothing, "nothing", "there is no message now; wait with receive, or look again"},
    {Condition::timed_out, "timed_out", "the deadline came first"},
    {Condition::full, "full",
     "the queue has no room; wait with send, or give it more consumers, capacity or pool"},
    {Condition::stale, "stale",
     "the message is no longer ours: its lease ran out, or it was given back or acked; extend the "
     "lease while working longer"},
    {Condition::in_flight_limit, "in_flight_limit",
     "as many unacked messages are held as this consumer may; ack some first"},
    {Condition::queue_removed, "queue_removed", "queue removed: a manager removed it; detach"},
    {Condition::too_big, "too_big",
     "the message is larger than the queue's max_message; create the queue with a larger one"},
    {Condition::paused, "paused",
     "this side of the queue is paused; wait with a blocking call, or `shmq resume` it"},
    {Condition::interrupted, "interrupted", "stop_waiting() was called on this handle"},
    {Condition::queue_not_found, "queue_not_found",
     "there is no such queue; create it, or look with `shmq ls` for its right name"},
    {Condition::queue_exists, "queue_exists", "the queue exists already, with other options"},
    {Condition::permission_denied, "permission_denied",
     "this user lacks the right; the owner grants it with the queue's mode and group"},
    {Condition::role_taken, "role_taken",
     "another holds the exclusive role; it is free when that one has detached or ended"},
    {Condition::invalid_argument, "invalid_argument", "a name, size or option is out of bounds"},
    {Condition::quota_exceeded, "quota_exceeded",
     "this user has used all it may; remove what is not needed"},
    {Condition::queue_in_use, "queue_in_use",
     "the queue has messages or users; remove it with force if they may go"},
    {Condition::no_daemon, "no_daemon", "no daemon answers; start one with `shmqd`"},
    {Condition::protocol_error, "protocol_error",
     "daemon and library do not understand each other; use the same version for both"},
    {Condition::incompatible, "incompatible",
     "segment or daemon has another version; use the same version of shmq for all"},
    {Condition::corrupt, "corrupt",
     "shared memory holds what it must not; remove the queue with force, and create it anew"},
    {Condition::journal_failed, "journal_failed",
     "the disk under the queue's journal failed: nothing more is confirmed; see `shmq info`"},
    {Condition::forked, "forked",
     "this handle belongs to the parent process; connect anew in the child"},
    {Condition::closed, "closed", "the handle was closed or moved from"},
    {Condition::quarantined, "quarantined",
     "the queue was found damaged and is out of service; remove it with force, and create it anew"},
    {Condition::system_error, "system_error", "the system refused"},
};

constexpr Row unknown{Condition{}, "unknown", "unknown condition"};

// Errors travel through calls that never throw: where memory for the text is lacking, the condition
// with its ordinary text must do.
std::unique_ptr<std::string> keep_text(std::string&& text) noexcept {
    try {
        return text.empty() ? nullptr : std::make_unique<std::string>(std::move(text));
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

std::unique_ptr<std::string> copy_text(const std::unique_ptr<std::string>& text) noexcept {
    try {
        return text == nullptr ? nullptr : std::make_unique<std::string>(*text);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

const Row& row_of(Condition condition) noexcept {
    for (const Row& row : rows) {
        if (row.condition == condition) return row;
    }
    return unknown;
}

}  // namespace

const char* condition_name(Condition condition) noexcept {
    return row_of(condition).name;
}

Error::Error(Condition condition, std::string text, int os_error)
    : condition_(condition), os_error_(os_error), text_(keep_text(std::move(text))) {}

Error::Error(const Error& other)
    : condition_(other.condition_), os_error_(other.os_error_), text_(copy_text(other.text_)) {}

Error& Error::operator=(const Error& other) {
    if (this != &other) *this = Error(other);
    return *this;
}

std::string Error::message() const {
    if (text_) return *text_;
    std::string text = row_of(condition_).text;
    if (os_error_ != 0) text.append(": ").append(std::strerror(os_error_));
    return text;
}

Exception::Exception(Error error) : std::runtime_error(error.message()), error_(std::move(error)) {}

}  // namespace shmq

#include "daemon/keeper/store.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "daemon/keeper/inherited.hpp"
#include "daemon/keeper/message.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

constexpr Nanoseconds retry_ns = 10 * nanoseconds_per_millisecond;
constexpr int last_words_ms = 1000;

}  // namespace

Store::~Store() {
    timers_.disarm(retry_);
    io_.forget(source_);
}

bool Store::use_manager(const std::string& address) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (address.size() < 2 || address.size() >= sizeof name.sun_path) {
        errno = EINVAL;
        return false;
    }
    std::memcpy(name.sun_path, address.data(), address.size());
    if (name.sun_path[0] == '@') name.sun_path[0] = '\0';  // a name without a file
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), length) != 0) {
        return false;
    }
    socket_ = std::move(socket);
    watch();
    return true;
}

void Store::use_keeper(Fd socket, std::function<Fd()> start) {
    start_ = std::move(start);
    socket_ = std::move(socket);
    started_at_ = monotonic_now();
    if (!socket_) return start_keeper();
    watch();
}

// ---- What is kept ------------------------------------------------------------------------------

void Store::remember(const std::string& name, int fd) {
    forget(name);
    by_name_[name] = next_;
    names_bytes_ += name.size() + 1;
    entries_.emplace(next_++, Entry{name, fd});
}

void Store::forget(const std::string& name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return;
    entries_.erase(found->second);
    by_name_.erase(found);
    names_bytes_ -= name.size() + 1;
}

bool Store::has_room_for(const std::string& name) const {
    return names_bytes_ + name.size() + 1 <= names_max_bytes;
}

void Store::keep(const std::string& name, int fd) {
    remember(name, fd);
    push({store_text(name), name, fd});
}

void Store::kept(const std::string& name, int fd) {
    remember(name, fd);
}

// What was not sent yet needs no taking back, and its descriptor is about to be closed.
void Store::drop(const std::string& name) {
    forget(name);
    const auto unsent = std::erase_if(
        pending_, [&](const Message& message) { return message.fd >= 0 && message.name == name; });
    if (unsent == 0) push({remove_text(name), {}, -1});
}

void Store::say_ready() {
    ready_ = true;
    push({"READY=1", {}, -1});
}

// With the time, so that the manager can tell this reload from one before (sd_notify(3)).
void Store::say_reloading() {
    push({"RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_now() / 1000), {}, -1});
}

void Store::say_alive() {
    if (pending_.empty()) push({"WATCHDOG=1", {}, -1});
}

void Store::say_last() {
    ending_ = true;
    push({"STOPPING=1", {}, -1});
    while (socket_ && !pending_.empty()) {
        pollfd watched{socket_.get(), POLLOUT, 0};
        if (::poll(&watched, 1, last_words_ms) <= 0) break;
        flush();
    }
    timers_.disarm(retry_);
    io_.forget(source_);
}

// ---- Sending -----------------------------------------------------------------------------------

void Store::push(Message message) {
    // Without anybody to keep it there is nothing to say; a new keeper is told everything.
    if (!socket_) return;
    pending_.push_back(std::move(message));
    if (pending_.size() == 1) flush();
}

void Store::flush() {
    while (!pending_.empty()) {
        const Message& message = pending_.front();
        switch (send_notice(socket_.get(), message.text, message.fd)) {
            case NoticeSent::sent:
                pending_.pop_front();
                break;
            case NoticeSent::busy:
                // Room, and fewer descriptors on their way, come without any event of ours.
                timers_.arm(retry_, deadline_after(monotonic_now(), retry_ns), [this] { flush(); });
                return;
            case NoticeSent::refused:
                log().error("{} cannot be kept: {}", message.name, std::strerror(errno));
                pending_.pop_front();
                break;
            case NoticeSent::gone:
                return on_loss();
        }
    }
}

// A keeper never speaks: readable means that it is gone.
void Store::watch() {
    if (start_ == nullptr) return;  // a manager's socket has no other end to hang up
    io_.watch(source_, socket_.get(), POLLIN | POLLRDHUP, Priority::signal,
              [this](unsigned events) { return on_event(events); });
}

Progress Store::on_event(unsigned) {
    char byte = 0;
    const ssize_t count = ::recv(socket_.get(), &byte, 1, MSG_DONTWAIT);
    if (count > 0) return Progress::more;
    if (count == 0 || errno != EAGAIN) on_loss();
    return Progress::drained;
}

void Store::on_loss() {
    io_.forget(source_);
    pending_.clear();
    if (ending_) return socket_.reset();
    if (start_ == nullptr) {
        log().error(
            "the service manager takes no more descriptors ({}): queues end with this "
            "process",
            std::strerror(errno));
    } else {
        log().warn("the keeper died: another one is started");
    }
    socket_.reset();
    if (start_ == nullptr) return;
    start_later(back_off_.after(monotonic_now() - started_at_));
}

void Store::start_later(Nanoseconds delay) {
    if (delay == 0) return start_keeper();
    timers_.arm(retry_, deadline_after(monotonic_now(), delay), [this] { start_keeper(); });
}

void Store::start_keeper() {
    socket_ = start_();
    if (!socket_) {
        log().error("no keeper can be started ({}): queues end with this process",
                    std::strerror(errno));
        return start_later(back_off_.after(0));
    }
    started_at_ = monotonic_now();
    watch();
    if (ready_) pending_.push_back({"READY=1", {}, -1});
    for (const auto& [number, entry] : entries_)
        pending_.push_back({store_text(entry.name), entry.name, entry.fd});
    flush();
}

}  // namespace shmq::daemon

#include "daemon/control/peer.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

constexpr unsigned reading = POLLIN | POLLRDHUP;
constexpr unsigned writing = POLLOUT;

}  // namespace

Peer::Peer(const Surroundings& surroundings, Fd socket, Caller caller)
    : around_(surroundings), channel_(std::move(socket)) {
    session_.caller = std::move(caller);
    session_.socket = channel_.fd();
    around_.io.watch(source_, channel_.fd(), reading, Priority::request,
                     [this](unsigned) { return on_ready(); });
}

Peer::~Peer() {
    SHMQ_CHECK(closed_);
}

void Peer::close(const std::string& reason) {
    if (std::exchange(closed_, true)) return;
    log().debug("session of pid {} (uid {}) ends: {}", session_.caller.pid, session_.caller.uid,
                reason);
    around_.timers.disarm(frame_timer_);
    around_.timers.disarm(tell_timer_);
    if (watcher_) around_.events.leave(*watcher_);
    watcher_.reset();
    around_.io.forget(source_);
    // The peer sees the end now, not when the last reference to the socket is gone.
    ::shutdown(channel_.fd(), SHUT_RDWR);
    if (session_.holder != nullptr) around_.supervisor.hang_up(*session_.holder);
    session_.holder = nullptr;
    around_.closed(*this);
}

// While an answer waits for the peer to read, nothing more is asked of it: at most one answer a
// session is ever kept.
Progress Peer::on_ready() {
    if (watcher_ && channel_.outgoing_bytes() == 0) {
        // It has nothing more to ask; what comes is its end, or to be ignored.
        wire::Frame frame;
        if (channel_.receive(frame) != wire::ReceiveStatus::nothing_yet)
            close("it watches no more");
        return Progress::drained;
    }
    if (channel_.outgoing_bytes() > 0) {
        switch (channel_.flush()) {
            case wire::SendStatus::sent:
                around_.io.change(source_, reading);
                if (watcher_) return tell_some();
                break;
            case wire::SendStatus::waiting:
                return Progress::drained;
            default:
                close("it went away without its answer");
                return Progress::drained;
        }
    }
    wire::Frame frame;
    const wire::ReceiveStatus status = channel_.receive(frame);
    switch (status) {
        case wire::ReceiveStatus::frame:
            around_.timers.disarm(frame_timer_);
            return on_frame(std::move(frame));
        case wire::ReceiveStatus::nothing_yet:
            watch_frame_time();
            return Progress::drained;
        case wire::ReceiveStatus::hung_up:
            if (channel_.mid_frame()) {
                log().warn("pid {} (uid {}) hung up in the middle of a frame", session_.caller.pid,
                           session_.caller.uid);
            }
            close(wire::status_text(status));
            return Progress::drained;
        default:
            log().warn("session of pid {} (uid {}) closed: {}{}", session_.caller.pid,
                       session_.caller.uid, wire::status_text(status),
                       status == wire::ReceiveStatus::failed
                           ? fmt::format(": {}", std::strerror(channel_.os_error()))
                           : "");
            close(wire::status_text(status));
            return Progress::drained;
    }
}

Progress Peer::on_frame(wire::Frame frame) {
    const auto call = wire::parse_call(frame.text);
    if (!call) {
        log().warn("session of pid {} (uid {}) closed: {}: {}", session_.caller.pid,
                   session_.caller.uid, call.error(), log_quoted(frame.text));
        close("it does not speak Varlink");
        return Progress::drained;
    }
    if (call->method == wire::method::watch) return begin_watching(*call);
    auto outcome = around_.methods.run(session_, *call, frame);
    if (call->oneway) return Progress::more;
    if (!outcome) return answer(wire::failure_text(outcome.error()), {});
    return answer(wire::answer_text(outcome->parameters), std::move(outcome->descriptors));
}

Progress Peer::answer(std::string text, std::vector<Fd> descriptors) {
    wire::Frame frame;
    frame.text = std::move(text);
    frame.descriptors = std::move(descriptors);
    const std::size_t bytes = frame.text.size();
    switch (channel_.send(std::move(frame))) {
        case wire::SendStatus::sent:
            return Progress::more;
        case wire::SendStatus::waiting:
            around_.io.change(source_, writing);
            return Progress::drained;
        case wire::SendStatus::oversize:
            return answer(wire::failure_text(wire::system_error(
                              "answer", EMSGSIZE,
                              fmt::format("the answer has {} bytes, a frame at most {}", bytes,
                                          limits::frame_max_bytes))),
                          {});
        default:
            close("it went away without its answer");
            return Progress::drained;
    }
}

Progress Peer::begin_watching(const wire::Call& call) {
    std::string name;
    if (!call.more) {
        return answer(wire::failure_text(wire::invalid_parameter("more", "Watch needs it")), {});
    }
    if (auto failure = around_.methods.check_watch(session_, call, name))
        return answer(wire::failure_text(*failure), {});
    watcher_ = std::make_unique<Watcher>();
    // Not at once: who tells is in the middle of something.
    around_.events.join(*watcher_, session_.caller, name, [this] {
        if (channel_.outgoing_bytes() == 0)
            around_.timers.arm(tell_timer_, monotonic_now(), [this] { tell_some(); });
    });
    return Progress::drained;
}

// As many as the socket takes; the rest waits, and what does not fit then is lost, and counted.
Progress Peer::tell_some() {
    while (watcher_ && !watcher_->empty() && channel_.outgoing_bytes() == 0)
        answer(wire::answer_text({{"event", wire::to_json(watcher_->take())}}, true), {});
    return Progress::drained;
}

void Peer::watch_frame_time() {
    if (!channel_.mid_frame()) {
        around_.timers.disarm(frame_timer_);
        return;
    }
    if (frame_timer_.armed()) return;
    around_.timers.arm(frame_timer_,
                       deadline_after(*channel_.frame_began_at(), around_.frame_time_max_ns),
                       [this] {
                           log().warn(
                               "session of pid {} (uid {}) closed: a frame took longer than "
                               "{} ms",
                               session_.caller.pid, session_.caller.uid,
                               around_.frame_time_max_ns / nanoseconds_per_millisecond);
                           close("a slow frame");
                       });
}

}  // namespace shmq::daemon

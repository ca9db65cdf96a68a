#include "client/session_link.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/version.hpp"
#include "client/daemon_start.hpp"
#include "client/endpoint.hpp"
#include "shm/layout.hpp"

namespace shmq {
namespace {

// A call that was cut off so often is what kills the daemon, as far as one can tell.
constexpr int cut_offs_most = 5;
constexpr Nanoseconds retry_pause_ns = 5 * nanoseconds_per_millisecond;
constexpr Nanoseconds hang_up_patience_ns = nanoseconds_per_second;

bool nobody_there(int number) {
    return number == ENOENT || number == ENOTDIR || number == ECONNREFUSED;
}

Error connect_failure(const Endpoints& endpoints, const std::string& tried, int number) {
    if (number == ENAMETOOLONG) {
        return {Condition::invalid_argument, "the path of a socket has at most 107 bytes: " + tried,
                number};
    }
    if (number == EACCES || number == EPERM) {
        return {Condition::permission_denied,
                "this user may not connect to the daemon: " + tried +
                    "; ask for access to that directory, or run a daemon of your own",
                number};
    }
    const std::string remedy =
        endpoints.named ? "; start it with `shmqd --socket " + endpoints.in_order.front().socket +
                              "`, or name none to use your own daemon"
                        : "; start one with `shmqd`, or allow ConnectOptions::start_daemon";
    return {Condition::no_daemon, "no daemon answers: " + tried + remedy, number};
}

std::string first_part(const std::string& tried) {
    return tried.empty() ? tried : tried + ", ";
}

}  // namespace

// A daemon that is killed may still accept for a moment, and then hang up: that is no answer yet.
Result<std::shared_ptr<Session::Link>> Session::Link::open_at(const Endpoint& endpoint, Fd socket,
                                                              Nanoseconds timeout,
                                                              Nanoseconds deadline) {
    std::shared_ptr<Link> link(new Link(endpoint.socket, timeout));
    const Nanoseconds patience = deadline_after(monotonic_now(), hang_up_patience_ns);
    for (;;) {
        auto begun = link->begin(std::move(socket), deadline);
        if (begun) return link;
        if (!link->cut_off_ || !sleep_before(std::min(patience, deadline), retry_pause_ns)) {
            return begun.error();
        }
        auto again = connect_socket(endpoint.socket, deadline);
        if (!again) return begun.error();
        socket = std::move(*again);
    }
}

Result<std::shared_ptr<Session::Link>> Session::Link::open(const ConnectOptions& options) {
    const Nanoseconds timeout =
        std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::min<std::chrono::milliseconds>(options.timeout, std::chrono::hours(24 * 365)))
            .count();
    const Nanoseconds deadline = deadline_after(monotonic_now(), timeout);
    const Endpoints endpoints = find_endpoints(options.socket);
    std::string tried;
    int worst = 0;
    for (const Endpoint& endpoint : endpoints.in_order) {
        if (endpoint.in_tmp) {
            auto safe = check_private_directory(endpoint.directory());
            if (!safe) return safe.error();
        }
        auto socket = connect_socket(endpoint.socket, deadline);
        if (socket) {
            auto link = open_at(endpoint, std::move(*socket), timeout, deadline);
            const bool may_start = options.start_daemon && !endpoints.named &&
                                   endpoint.socket == endpoints.in_order.front().socket;
            if (link && may_start) (*link)->own_ = endpoint;
            return link;
        }
        tried = first_part(tried) + endpoint.socket + " (" + std::strerror(socket.error()) + ")";
        if (worst == 0 || nobody_there(worst)) worst = socket.error();
    }
    // A daemon that is there but not for us (the system's) does not keep us from having our own.
    const bool may_start = options.start_daemon && !endpoints.named;
    if (!may_start) return connect_failure(endpoints, tried, worst);
    const Endpoint& own = endpoints.in_order.front();
    auto socket = start_daemon(own, deadline);
    if (!socket) return socket.error();
    auto link = open_at(own, std::move(*socket), timeout, deadline);
    if (link) (*link)->own_ = own;
    return link;
}

Result<void> Session::Link::begin(Fd socket, Nanoseconds deadline) {
    channel_.emplace(std::move(socket));
    late_.clear();
    cut_off_ = false;
    // A connection without its hello is none: the next call begins anew.
    set_bringing_back(true);
    try {
        auto greeted = hello(deadline);
        if (greeted) greeted = bring_back(deadline);
        if (!greeted) {
            set_bringing_back(false);
            drop();
            return greeted;
        }
        lost_at_ = 0;
        connection_.store(channel_->fd(), std::memory_order_relaxed);
        look_at_connections();
        return greeted;
    } catch (...) {
        set_bringing_back(false);
        drop();
        throw;
    }
}

Result<void> Session::Link::hello(Nanoseconds deadline) {
    Request request{wire::method::hello};
    request.parameters["version"] = version_text();
    if (!key_.empty()) request.parameters["session"] = key_;
    wire::Frame frame;
    // Where the kernel or a filter refuses, the daemon finds us by our credentials.
    Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (self) {
        request.parameters["pidfd"] = 0;
        frame.descriptors.push_back(std::move(self));
    }
    frame.text = wire::call_text({std::string(request.method), request.parameters});
    const wire::SendStatus status = channel_->send_until(std::move(frame), deadline);
    if (status == wire::SendStatus::timed_out) return too_late(request);
    if (status != wire::SendStatus::sent) {
        if (auto error = last_words(request)) return std::move(*error);
        cut_off_ = true;
        return bad_answer(asked(request), wire::status_text(status));
    }
    Try answer = await(request, deadline);
    cut_off_ = !answer;
    if (!answer) return bad_answer(asked(request), "it hung up at once; its log says why");
    if (!*answer) return answer->error();
    return take_hello(std::move(**answer));
}

Result<void> Session::Link::take_hello(Reply reply) {
    const Request request{wire::method::hello};
    std::string daemon_version;
    std::uint32_t pid = 0;
    std::uint32_t segment_version = 0;
    std::uint64_t doorbell_index = 0;
    wire::Members members(reply.parameters);
    members.require("pid", pid);
    members.require("version", daemon_version);
    members.require("segment_version", segment_version);
    members.require("doorbell", doorbell_index);
    members.take("session", key_);
    resumed_ = false;
    members.take("resumed", resumed_);
    if (auto failure = members.finish(wire::Unknown::ignore)) {
        return bad_answer(asked(request), *failure);
    }
    if (!wire::versions_agree(daemon_version, version_text()) ||
        segment_version != shm::segment_version) {
        return Error(Condition::incompatible,
                     "the daemon on " + socket_ + " has version " + daemon_version + " (segments " +
                         std::to_string(segment_version) + "), this library " + version_text() +
                         " (segments " + std::to_string(shm::segment_version) +
                         "); use the same version for both, and start the daemon anew after an "
                         "upgrade");
    }
    Fd doorbell = reply.frame.take_descriptor(doorbell_index);
    if (!doorbell) return bad_answer(asked(request), "the doorbell's descriptor is missing");
    // Others ring it without our lock: the number stays the same, what is behind it changes at
    // once.
    if (!doorbell_) {
        doorbell_ = std::move(doorbell);
    } else if (::dup3(doorbell.get(), doorbell_.get(), O_CLOEXEC) < 0) {
        const int number = errno;
        return Error(Condition::system_error,
                     std::string("cannot keep the daemon's doorbell: ") + std::strerror(number),
                     number);
    }
    pid_.store(pid, std::memory_order_relaxed);
    return {};
}

Result<Session::Link::Reply> Session::Link::call(Request request) {
    const std::lock_guard lock(mutex_);
    return call_locked(request);
}

Result<Session::Link::Reply> Session::Link::call_locked(const Request& request) {
    const Nanoseconds until = deadline();
    int cut_off = 0;
    Lost lost{false, 0};
    for (;;) {
        if (!channel_) {
            bool again = false;
            auto restored = restore(until, again);
            if (!restored && !again) return restored.error();
            if (!restored) lost.os_error = restored.error().os_error();
        }
        if (channel_) {
            Try reply = attempt(request, until);
            // What kept it from being answered says more than that the last try was late.
            if (reply && lost.stay && !*reply && reply->error().condition() == Condition::timed_out)
                return gone(request, lost);
            if (reply) return std::move(*reply);
            lost = reply.error();
            if (lost.sent && !request.repeatable) return gone(request, lost);
            if (lost.sent && ++cut_off == cut_offs_most) return gone(request, lost);
            // A connection may have been dead for long, unnoticed: the first new one is at once.
            if (!lost.sent && !lost.stay) continue;
        }
        if (!sleep_before(until, retry_pause_ns)) return gone(request, lost);
    }
}

Session::Link::Try Session::Link::attempt(const Request& request, Nanoseconds deadline) {
    try {
        Try result = exchange(request, {}, deadline);
        if (!result && !result.error().stay) drop();
        return result;
    } catch (...) {
        // Out of memory in the middle of a frame: what comes next on this socket is anybody's
        // guess.
        drop();
        throw;
    }
}

Session::Link::Try Session::Link::exchange(const Request& request, wire::Frame frame,
                                           Nanoseconds deadline) {
    if (auto ended = settle_late(request, deadline)) return std::move(*ended);
    wire::Json parameters = request.parameters;
    if (!request.queue.empty()) parameters["name"] = request.queue;
    frame.text = wire::call_text({std::string(request.method), std::move(parameters)});
    const wire::SendStatus status = channel_->send_until(std::move(frame), deadline);
    switch (status) {
        case wire::SendStatus::sent:
            break;
        case wire::SendStatus::waiting:
        case wire::SendStatus::timed_out:
            // It will leave before the next call does, and be answered before that.
            late_.push_back(request.method == wire::method::attach ? request.queue : "");
            return Result<Reply>(too_late(request));
        case wire::SendStatus::oversize:
            return Result<Reply>(bad_answer(asked(request), "the call is longer than 1 MiB"));
        case wire::SendStatus::hung_up:
            if (auto error = last_words(request)) {
                drop();
                return Result<Reply>(std::move(*error));
            }
            return std::unexpected(Lost{false, EPIPE});
        case wire::SendStatus::failed:
            return std::unexpected(Lost{false, channel_->os_error()});
    }
    return await(request, deadline);
}

Session::Link::Try Session::Link::await(const Request& request, Nanoseconds deadline) {
    Reply reply;
    const wire::ReceiveStatus status = channel_->receive_until(reply.frame, deadline);
    if (status == wire::ReceiveStatus::hung_up) return std::unexpected(Lost{true, ECONNRESET});
    if (status == wire::ReceiveStatus::timed_out) {
        late_.push_back(request.method == wire::method::attach ? request.queue : "");
        return Result<Reply>(too_late(request));
    }
    if (status != wire::ReceiveStatus::frame) {
        Error error = bad_answer(asked(request), wire::status_text(status));
        drop();
        return Result<Reply>(std::move(error));
    }
    auto answer = wire::parse_answer(reply.frame.text);
    if (!answer) {
        Error error = bad_answer(asked(request), "its answer is " + answer.error());
        drop();
        return Result<Reply>(std::move(error));
    }
    // A daemon that lost what it knew waits for those who bring it back.
    if (answer->error == wire::error::recovering) {
        Lost wait{false, EAGAIN, true};
        wire::Members(answer->parameters).take("reason", wait.why);
        return std::unexpected(std::move(wait));
    }
    if (!answer->error.empty()) return Result<Reply>(error_from_wire(*answer, asked(request)));
    reply.parameters = std::move(answer->parameters);
    return Result<Reply>(std::move(reply));
}

// A daemon that closes a session may say why before (a quota); what it said is still to be read.
std::optional<Error> Session::Link::last_words(const Request& request) {
    if (!late_.empty()) return std::nullopt;
    wire::Frame frame;
    if (channel_->receive(frame) != wire::ReceiveStatus::frame) return std::nullopt;
    const auto answer = wire::parse_answer(frame.text);
    if (!answer || answer->error.empty()) return std::nullopt;
    return error_from_wire(*answer, asked(request));
}

// Takes the answers that came too late for their callers. Nothing: all settled, go on.
std::optional<Session::Link::Try> Session::Link::settle_late(const Request& request,
                                                             Nanoseconds deadline) {
    while (!late_.empty()) {
        wire::SendStatus sent = channel_->flush();
        wire::Frame frame;
        const wire::ReceiveStatus status = channel_->receive_until(frame, deadline);
        if (status == wire::ReceiveStatus::timed_out) {
            return Try(Result<Reply>(too_late(request)));
        }
        if (status != wire::ReceiveStatus::frame || sent == wire::SendStatus::failed) {
            return Try(std::unexpect, Lost{false, ECONNRESET});
        }
        const std::string queue = std::move(late_.front());
        late_.pop_front();
        const auto answer = wire::parse_answer(frame.text);
        if (queue.empty() || !answer || !answer->error.empty()) continue;
        // An attachment that nobody waits for any more; left alone it would hold its role for ever.
        std::uint16_t number = 0;
        if (!wire::Members(answer->parameters).take("participant", number) || number == 0) continue;
        wire::Frame detach;
        detach.text = wire::call_text(
            {std::string(wire::method::detach), {{"name", queue}, {"participant", number}}});
        sent = channel_->send_until(std::move(detach), deadline);
        late_.emplace_back();
    }
    return std::nullopt;
}

void Session::Link::drop() {
    connection_.store(-1, std::memory_order_relaxed);
    channel_.reset();
    late_.clear();
    if (lost_at_ == 0) lost_at_ = monotonic_now();
    look_at_connections();
}

Error Session::Link::too_late(const Request& request) const {
    std::string text = "the daemon on " + socket_ + " did not answer ";
    text.append(request.method);
    if (!request.queue.empty()) text.append(" of queue '").append(request.queue).append("'");
    text.append(" within ")
        .append(std::to_string(timeout_ / nanoseconds_per_millisecond))
        .append(" ms; it may still do it. Look whether it runs and how busy the machine is");
    return {Condition::timed_out, std::move(text)};
}

Error Session::Link::gone(const Request& request, const Lost& lost) const {
    if (lost.stay) {
        std::string waits = "queue '" + request.queue + "' is not back yet";
        waits.append(lost.why.empty() ? "" : ": ").append(lost.why);
        return {Condition::timed_out, waits + "; ask again, or wait longer (timeout)"};
    }
    std::string text = "no daemon answers on " + socket_ + " any more";
    const int number = lost.os_error;
    if (number != 0) text.append(" (").append(std::strerror(number)).append(")");
    if (lost.sent && !request.repeatable) {
        text.append("; it hung up in the middle of ").append(request.method);
        if (!request.queue.empty()) text.append(" of queue '").append(request.queue).append("'");
        text.append(", which may or may not have been done");
    }
    text.append("; start it again with `shmqd --socket ").append(socket_).append("`");
    return {Condition::no_daemon, std::move(text), number};
}

}  // namespace shmq

// What a session reads of the daemon for people and monitors: its numbers, and what happens.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "client/answers.hpp"
#include "client/endpoint.hpp"
#include "client/guarded.hpp"
#include "client/session.hpp"
#include "client/session_link.hpp"

namespace shmq {
namespace {

Result<std::string> read_all(int fd) {
    std::string text;
    char bytes[65536];
    for (off_t at = 0;;) {
        const ssize_t count = ::pread(fd, bytes, sizeof bytes, at);
        if (count < 0) return Error(Condition::system_error, errno);
        if (count == 0) return text;
        text.append(bytes, static_cast<std::size_t>(count));
        at += count;
    }
}

}  // namespace

Result<std::string> Session::metrics() noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<std::string> {
        const Link::Request request{wire::method::metrics};
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        std::uint64_t index = 0;
        wire::Members members(reply->parameters);
        members.require("text", index);
        if (auto failure = members.finish(wire::Unknown::ignore)) {
            return bad_answer(link_->asked(request), *failure);
        }
        const Fd text = reply->frame.take_descriptor(index);
        if (!text) return bad_answer(link_->asked(request), "its descriptor is missing");
        return read_all(text.get());
    });
}

Result<void> Session::watch(std::string_view name,
                            const std::function<bool(const wire::Event&)>& tell) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<void> {
        auto socket = connect_socket(link_->socket(), link_->deadline());
        if (!socket) return Error(Condition::no_daemon, socket.error());
        wire::Channel channel(std::move(*socket));
        Link::Request request{wire::method::watch, std::string(name)};
        wire::Call call;
        call.method = request.method;
        call.more = true;
        if (!name.empty()) call.parameters["name"] = name;
        if (channel.send_until({wire::call_text(call), {}}, link_->deadline()) !=
            wire::SendStatus::sent) {
            return Condition::no_daemon;
        }
        for (;;) {
            wire::Frame frame;
            if (channel.receive_until(frame, no_deadline) != wire::ReceiveStatus::frame)
                return Condition::no_daemon;
            const auto answer = wire::parse_answer(frame.text);
            if (!answer) return bad_answer(link_->asked(request), answer.error());
            if (!answer->error.empty()) return error_from_wire(*answer, link_->asked(request));
            wire::Members members(answer->parameters);
            const wire::Json* json = members.require_any("event");
            if (json == nullptr) return bad_answer(link_->asked(request), "no event in it");
            const auto event = wire::event_from_json(*json, "event", wire::Unknown::ignore);
            if (!event) return bad_answer(link_->asked(request), event.error());
            if (!tell(*event)) return {};
        }
    });
}

}  // namespace shmq

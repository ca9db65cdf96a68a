// The session's end of the wire: one socket, calls in turn, and what to do when an answer is late
// or the daemon goes.
//
// An answer that comes after its caller has given up belongs to nobody, but its place in the order
// does: late_ remembers which answers are still to come, and the next call takes them first.
// Hanging up instead would cost our consumers their leases.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "client/answers.hpp"
#include "client/session.hpp"
#include "wire/channel.hpp"
#include "wire/control.hpp"

namespace shmq {

class Session::Link {
  public:
    struct Request {
        std::string_view method;
        std::string queue = {};  // whom it is about; also the parameter `name`, unless empty
        wire::Json parameters = wire::Json::object();
        // Whether doing it twice is as good as once, where a lost answer leaves that open.
        bool repeatable = true;
    };
    struct Reply {
        wire::Json parameters;
        wire::Frame frame;  // for its descriptors
    };

    // Connects to the first daemon that answers, or starts one.
    static Result<std::unique_ptr<Link>> open(const ConnectOptions& options);

    // One call, with one new connection if the daemon has gone. Errors name queue and remedy.
    Result<Reply> call(Request request);
    // The same for Attach and Detach, which must know whose number is whose.
    Result<Reply> call_attach(Request request);
    Result<void> call_detach(const std::string& queue, std::uint16_t number);

    Asked asked(const Request& request) const { return {request.method, request.queue, socket_}; }
    const std::string& socket() const { return socket_; }
    std::uint32_t daemon_pid() const { return pid_.load(std::memory_order_relaxed); }
    Nanoseconds deadline() const { return deadline_after(monotonic_now(), timeout_); }
    // Valid from open on, and the same number after every new connection.
    int doorbell() const { return doorbell_.get(); }

  private:
    // What became of one try.
    struct Lost {
        bool sent;  // the daemon may have acted on it
        int os_error;
    };
    using Try = std::expected<Result<Reply>, Lost>;

    Link(std::string socket, Nanoseconds timeout) : socket_(std::move(socket)), timeout_(timeout) {}

    Result<void> begin(Fd socket, Nanoseconds deadline);
    Result<void> hello(Nanoseconds deadline);
    Result<void> take_hello(Reply reply);
    Result<Reply> call_locked(const Request& request);
    // One call on the connection there is; without success the connection is dropped.
    Try attempt(const Request& request, Nanoseconds deadline);
    Try exchange(const Request& request, Nanoseconds deadline);
    Try await(const Request& request, Nanoseconds deadline);
    std::optional<Error> last_words(const Request& request);
    std::optional<Try> settle_late(const Request& request, Nanoseconds deadline);
    void drop();
    Error too_late(const Request& request) const;
    Error gone(const Request& request, const Lost& lost, int reconnect_errno) const;

    const std::string socket_;
    const Nanoseconds timeout_;
    std::atomic<std::uint32_t> pid_{0};
    Fd doorbell_;

    std::mutex mutex_;  // guards all below
    std::optional<wire::Channel> channel_;
    // Answers still owed to nobody: the queue of a late Attach, else empty.
    std::deque<std::string> late_;
    // Participants of this connection.
    std::set<std::pair<std::string, std::uint16_t>> attached_;
};

}  // namespace shmq

// The session's end of the wire: one socket, calls in turn, and what to do when an answer is late
// or the daemon goes.
//
// A daemon that died has a successor, and the session goes on with it: under the key that the dead
// one gave out it brings back its participants (session_resume.cpp). That is done by whichever call
// comes first, or by a thread of ours (reconnect.hpp).
//
// An answer that comes after its caller has given up belongs to nobody, but its place in the order
// does: late_ remembers which answers are still to come, and the next call takes them first.
// Hanging up instead would cost our consumers their leases.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
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
#include "client/endpoint.hpp"
#include "client/reconnect.hpp"
#include "client/session.hpp"
#include "wire/channel.hpp"
#include "wire/control.hpp"

namespace shmq {

class Session::Link final : public Reconnecting,
                            public std::enable_shared_from_this<Session::Link> {
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
    static Result<std::shared_ptr<Link>> open(const ConnectOptions& options);

    // One call. If the daemon has gone, waits for its successor, up to the session's timeout.
    // Errors name queue and remedy.
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
    // The session ends. What the daemon does not know yet is still told to its successor.
    void leave();
    // In a child of fork: lets go of the descriptors, and waits for no lock.
    void close_in_child();

    int connection() const noexcept override { return connection_.load(std::memory_order_relaxed); }
    bool reconnect() noexcept override;
    bool finished() const noexcept override { return finished_.load(std::memory_order_relaxed); }

  private:
    // What became of one try.
    struct Lost {
        bool sent;  // the daemon may have acted on it
        int os_error;
        bool stay = false;  // the connection is good: ask again
        std::string why{};  // then: what is waited for; empty: for those who bring the queue back
    };
    // What a daemon needs to take a queue over, should it have lost it.
    struct Carried {
        Fd definition;
        Fd ring;
        Fd pool;
    };
    using Participant = std::pair<std::string, std::uint16_t>;  // queue and number
    struct Held {
        std::uint32_t generation = 0;
        std::shared_ptr<Carried> carried;
    };
    using Try = std::expected<Result<Reply>, Lost>;

    Link(std::string socket, Nanoseconds timeout) : socket_(std::move(socket)), timeout_(timeout) {}

    static Result<std::shared_ptr<Link>> open_at(const Endpoint& endpoint, Fd socket,
                                                 Nanoseconds timeout, Nanoseconds deadline);
    // A connection that has said Hello and has brought back all participants.
    Result<void> begin(Fd socket, Nanoseconds deadline);
    Result<void> hello(Nanoseconds deadline);
    Result<void> take_hello(Reply reply);
    Result<Reply> call_locked(const Request& request);
    // Connects to whoever listens now. `again`: the same may go well a little later.
    Result<void> restore(Nanoseconds deadline, bool& again);
    bool hung_up();
    void ring_bell() const;
    Result<void> bring_back(Nanoseconds deadline);
    void set_bringing_back(bool now);
    Result<void> bring_back_all(Nanoseconds deadline);
    // False: the daemon does not take it.
    Result<bool> bring_back_one(const Participant& who, const Held& held, Nanoseconds deadline);
    std::optional<Participant> next_left_behind(std::set<Participant>& brought);
    // One call of ours on a fresh connection: without an answer the connection is no good.
    Result<Reply> ask(const Request& request, wire::Frame frame, Nanoseconds deadline);
    void hold(const std::string& queue, std::uint16_t number, Reply& reply);
    std::shared_ptr<Carried> carry(const std::string& queue, Reply& reply);
    // One call on the connection there is; without success the connection is dropped.
    Try attempt(const Request& request, Nanoseconds deadline);
    // `frame`: descriptors that go along.
    Try exchange(const Request& request, wire::Frame frame, Nanoseconds deadline);
    Try await(const Request& request, Nanoseconds deadline);
    std::optional<Error> last_words(const Request& request);
    std::optional<Try> settle_late(const Request& request, Nanoseconds deadline);
    void drop();
    Error too_late(const Request& request) const;
    Error gone(const Request& request, const Lost& lost) const;

    const std::string socket_;
    const Nanoseconds timeout_;
    std::atomic<std::uint32_t> pid_{0};
    std::atomic<int> connection_{-1};
    std::atomic<bool> finished_{false};
    Fd doorbell_;
    std::optional<Endpoint> own_;  // where we may start a daemon ourselves

    std::mutex mutex_;  // guards all below
    std::optional<wire::Channel> channel_;
    // Answers still owed to nobody: the queue of a late Attach, else empty.
    std::deque<std::string> late_;
    std::string key_;             // given out by the last daemon
    bool resumed_ = false;        // by the Hello of this connection
    bool cut_off_ = false;        // the last Hello met a hang-up, not an answer
    bool ever_attached_ = false;  // so a successor may know of participants
    Nanoseconds lost_at_ = 0;     // since when there is no connection; 0: there is one

    // Its own lock, never held while anything is waited for: closing a handle waits for no daemon.
    std::mutex attached_mutex_;  // guards all below
    std::map<Participant, Held> attached_;
    bool bringing_back_ = false;  // whoever does that also sees to what is detached meanwhile
    bool leaving_ = false;
};

}  // namespace shmq

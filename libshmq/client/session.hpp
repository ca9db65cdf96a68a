// The session to the daemon: connect (starting a daemon where that is allowed), hello, and the
// calls of docs/control_protocol.md as typed functions. Shared by a Client and all producers and
// consumers that came from it; it ends with the last of them.
//
// Threads: any. Calls wait for each other; ring_doorbell waits for nobody.
// Fork: in a child every call answers Condition::forked, and the destructor only closes
// descriptors. Daemon gone: a call waits for its successor at the same socket, up to the timeout;
// the session goes on with that one, with all participants, calls or no calls (reconnect.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <shmq/client.hpp>
#include <shmq/error.hpp>
#include <shmq/queue.hpp>

#include "base/clock.hpp"
#include "client/fork_guard.hpp"
#include "shm/layout.hpp"
#include "shm/segment.hpp"
#include "wire/control.hpp"

namespace shmq {

// A queue's memory in this process, and who we are in it.
struct Attachment {
    std::unique_ptr<shm::Segment> segment;
    std::uint16_t number = 0;  // participant; 0 for an observer
    bool exclusive = false;    // holds its role alone
    std::uint32_t in_flight = 0;
    // What the queue's clock, the daemon's, shows beyond ours: not 0 in another time namespace.
    Nanoseconds clock_ahead = 0;
};

class Session {
  public:
    // Conditions: no_daemon, incompatible, permission_denied, protocol_error, timed_out.
    static Result<std::shared_ptr<Session>> connect(const ConnectOptions& options) noexcept;

    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // ---- Queues. Every error names the queue and a remedy. ----
    // Whether it was created now. With if_missing an existing one with the same options is fine.
    Result<bool> create(std::string_view name, const QueueOptions& options,
                        bool if_missing) noexcept;
    Result<QueueInfo> describe(std::string_view name) noexcept;
    Result<std::vector<QueueInfo>> list() noexcept;  // sorted by name
    Result<void> remove(std::string_view name, bool force) noexcept;
    Result<std::uint64_t> purge(std::string_view name) noexcept;
    Result<DaemonInfo> status() noexcept;
    Result<void> edit(std::string_view name, const QueueChanges& changes) noexcept;
    // As it travels; `wanted` may say what cannot change, to be told why.
    Result<void> edit(std::string_view name, const wire::Options& wanted,
                      std::optional<std::uint32_t> owner,
                      const std::vector<std::string>& clear) noexcept;
    Result<void> pause(std::string_view name, Side side, bool paused) noexcept;
    // The page of numbers, as Prometheus reads it.
    Result<std::string> metrics() noexcept;
    // Tells what happens from now on, of one queue or (empty) of all that we may see, over a
    // connection of its own: until `tell` answers false, or the daemon goes (no_daemon).
    Result<void> watch(std::string_view name,
                       const std::function<bool(const wire::Event&)>& tell) noexcept;
    // All of it, by sequence.
    Result<std::vector<wire::Pending>> pending(std::string_view name) noexcept;
    struct Settled {
        std::uint64_t done = 0;
        std::vector<wire::Refusal> refused;
    };
    // wire::settle_most sequences at most. time 0, to empty: not said.
    Result<Settled> settle(std::string_view name, wire::SettleVerb verb,
                           const std::vector<std::uint64_t>& sequences, std::uint64_t time_ns = 0,
                           std::string_view to = {}) noexcept;
    // name empty: in all queues that we may manage. How many messages.
    Result<std::uint64_t> release(std::uint32_t pid, std::string_view name) noexcept;

    // ---- Memory ----
    // A new participant. in_flight 0: what the queue says. REQUIRES: role producer or consumer.
    Result<Attachment> attach(std::string_view name, shm::Role role,
                              std::uint32_t in_flight = 0) noexcept;
    // Gives a number back; the caller touches the segment under it no more. Nothing happens for a
    // number of a connection that was lost: the daemon has taken it back.
    Result<void> detach(std::string_view name, std::uint16_t number) noexcept;
    // A read-only look (peek, pending, top): no participant, nothing to detach.
    Result<Attachment> observe(std::string_view name) noexcept;

    // Tells the daemon that a message waits for the supervisor. Never blocks; any thread.
    void ring_doorbell() const noexcept;

    // True in a child forked since the session began.
    bool forked() const noexcept { return fork_.forked(); }
    const std::string& socket() const noexcept;  // the path it is connected to
    std::uint32_t daemon_pid() const noexcept;   // as of the last hello

  private:
    class Link;  // all that speaks the protocol, in session_link.hpp
    explicit Session(std::shared_ptr<Link> link) noexcept;
    Result<Attachment> attach_as(std::string_view name, shm::Access access,
                                 std::uint32_t in_flight);

    static Nanoseconds clock_ahead(const Attachment& attachment, Nanoseconds before);

    ForkGuard fork_;
    std::shared_ptr<Link> link_;  // shared with the thread that keeps it connected
};

// From the record in shared memory to the public struct.
// REQUIRES: texts of the record are ended (shm::read_history sees to that).
DeadLetter dead_letter_of(const shm::DeadLetterRecord& record);

// For parts of shmq that hold a Client and need what it does not show (the CLI's peek and pending).
class SessionAccess {
  public:
    // Null for a moved-from client.
    static std::shared_ptr<Session> of(const Client& client) noexcept { return client.session_; }
};

}  // namespace shmq

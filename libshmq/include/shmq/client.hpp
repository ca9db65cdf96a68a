// Start here: connect to the daemon, declare queues, make producers and consumers.
//
//     auto client = shmq::value_or_throw(shmq::Client::connect());
//     shmq::value_or_throw(client.declare("jobs"));
//     auto producer = shmq::value_or_throw(client.producer("jobs"));
//     shmq::value_or_throw(producer.send("hello"));
//     auto consumer = shmq::value_or_throw(client.consumer("jobs"));
//     auto message = shmq::value_or_throw(consumer.receive());
//     use(message.text());
//     shmq::value_or_throw(message.ack());
//
// The daemon answers the calls of Client only; messages never pass through it. While it is down
// producers and consumers go on, and calls of Client wait for its return, up to
// ConnectOptions::timeout. A thread of this library, which sleeps, brings them together again: a
// process has one as soon as it has a producer or a consumer. It takes no signals; programs that
// must have one thread only (before unshare or setns of a user namespace, say) do that first.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <shmq/consumer.hpp>
#include <shmq/error.hpp>
#include <shmq/message.hpp>
#include <shmq/producer.hpp>
#include <shmq/queue.hpp>

namespace shmq {

class Session;

struct ConnectOptions {
    // Path of the daemon's socket. Empty: $SHMQ_SOCKET, else the user's own daemon
    // ($XDG_RUNTIME_DIR/shmq/socket, without that variable /tmp/shmq-UID/socket), else the system's
    // /run/shmq/socket; root starts with /run/shmq/socket.
    std::string socket;
    // Start the user's own daemon if no daemon answers; never done when a socket is named, here or
    // by SHMQ_SOCKET.
    bool start_daemon = true;
    // For connecting, starting included, and for each answer of the daemon.
    std::chrono::milliseconds timeout{10'000};
};

struct ConsumerOptions {
    // Unacked messages this consumer may hold at most; 0: what the queue says. The queue's fair
    // share (half the ring over all consumers) bounds it further.
    std::uint32_t in_flight = 0;
};

struct DaemonInfo {
    std::uint32_t pid = 0;
    std::string version;
    std::string socket;
    std::uint64_t queues = 0;
    std::uint64_t sessions = 0;
    std::chrono::nanoseconds uptime{0};
    std::uint64_t deaths = 0;      // processes that died attached
    std::uint64_t reclaimed = 0;   // messages given back for them
    std::uint32_t restarts = 0;    // daemons that died before this one, which took over from them
    std::uint32_t adopted = 0;     // queues that this one took over
    std::uint32_t recovering = 0;  // queues whose journals are being read
    std::string state_directory;   // where journals live; empty: nowhere
    std::string alarm;             // what somebody has to look after there; empty: nothing
};

// Threads: every call may be made from any thread; calls on one client wait for each other.
// Lifetime: producers and consumers outlive their client; the session to the daemon ends with the
// last of them. After fork the child gets Condition::forked and may connect anew.
// Errors: Condition::no_daemon where the daemon died and nobody started another one in time; what
// cannot be asked twice (create, remove, purge) also where it died in the middle of the call.
class SHMQ_EXPORT Client {
  public:
    // Blocks up to options.timeout. Conditions: no_daemon, incompatible, permission_denied.
    static Result<Client> connect(const ConnectOptions& options = {}) noexcept;

    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    // Creates the queue, or finds it with the same options (zero fields match anything).
    // Conditions: queue_exists (other options), invalid_argument, quota_exceeded.
    Result<void> declare(std::string_view name, const QueueOptions& options = {}) noexcept;
    // Creates the queue. Conditions: queue_exists, invalid_argument, quota_exceeded.
    Result<void> create(std::string_view name, const QueueOptions& options = {}) noexcept;
    // Conditions: queue_not_found, queue_in_use (not with force), permission_denied.
    Result<void> remove(std::string_view name, bool force = false) noexcept;
    // Drops every message that nobody holds. Returns how many went at once; with an exclusive
    // consumer attached, that one drops them at its next receive, and 0 is returned.
    Result<std::uint64_t> purge(std::string_view name) noexcept;
    // Changes what can change while the queue is in use; needs the right to manage. All of it or
    // nothing. Conditions: queue_not_found, permission_denied, invalid_argument (out of bounds, or
    // cannot change: the text says why), quota_exceeded (of a new owner).
    Result<void> edit(std::string_view name, const QueueChanges& changes) noexcept;
    // From now on calls of that side that may block wait, up to their deadlines, and others answer
    // Condition::paused; acks and their like go on. Until resume(), whoever restarts meanwhile. A
    // call under way may still take effect. Both need the right to manage.
    Result<void> pause(std::string_view name, Side side = Side::both) noexcept;
    Result<void> resume(std::string_view name, Side side = Side::both) noexcept;
    Result<QueueInfo> describe(std::string_view name) noexcept;
    // The queues that the user may see (has any right on), sorted by name.
    Result<std::vector<QueueInfo>> list() noexcept;
    Result<DaemonInfo> status() noexcept;

    // Conditions: queue_not_found, permission_denied, role_taken, quota_exceeded, incompatible.
    Result<Producer> producer(std::string_view name) noexcept;
    Result<Consumer> consumer(std::string_view name, const ConsumerOptions& options = {}) noexcept;

  private:
    friend class SessionAccess;
    explicit Client(std::shared_ptr<Session> session) noexcept;
    std::shared_ptr<Session> session_;
};

// Version of the library in use, as MAJOR.MINOR.PATCH.
SHMQ_EXPORT const char* version() noexcept;

}  // namespace shmq

#include "daemon/control/server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "daemon/control/identity.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

// Connections taken in one round: whoever connects in a loop must not keep the rest waiting.
constexpr int accepts_a_round_max = 16;

Fd open_reserve() {
    return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Server::Server(Io& io, Timers& timers, Accounts& accounts, Supervisor& supervisor, Methods& methods,
               Events& events, std::size_t& session_count, Nanoseconds frame_time_max_ns)
    : io_(io),
      accounts_(accounts),
      session_count_(session_count),
      surroundings_{.io = io,
                    .timers = timers,
                    .supervisor = supervisor,
                    .methods = methods,
                    .events = events,
                    .frame_time_max_ns = frame_time_max_ns,
                    .closed = [this](Peer& peer) { on_closed(peer); }},
      reserve_(open_reserve()) {}

Server::~Server() {
    SHMQ_CHECK(peers_.empty() && ended_.empty() && session_count_ == 0);
}

void Server::start(const Listener& listener) {
    listening_ = listener.fd();
    io_.watch(source_, listening_, POLLIN, Priority::request,
              [this](unsigned) { return on_connection(); });
}

void Server::stop() {
    io_.forget(source_);
    while (!peers_.empty())
        peers_.begin()->second->close("the daemon ends");
    bury();
}

void Server::bury() {
    ended_.clear();
}

Progress Server::on_connection() {
    for (int taken = 0; taken < accepts_a_round_max; ++taken) {
        Fd socket(::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (socket) {
            admit(std::move(socket));
            continue;
        }
        switch (errno) {
            case EAGAIN:
                return Progress::drained;
            case EMFILE:
            case ENFILE:
                refuse_for_want_of_descriptors();
                continue;
            case EINTR:
            case ECONNABORTED:
                continue;
            default:
                log().error("accept: {}", std::strerror(errno));
                return Progress::drained;
        }
    }
    return Progress::more;
}

void Server::admit(Fd socket) {
    Caller caller;
    if (!identify(socket.get(), caller)) {
        log().warn("a connection refused: its credentials: {}", std::strerror(errno));
        return;
    }
    if (auto failure = accounts_.charge_session(caller.uid)) {
        log().warn("a connection of pid {} refused: uid {} has all its sessions", caller.pid,
                   caller.uid);
        wire::Channel channel(std::move(socket));
        channel.send({wire::failure_text(*failure), {}});
        return;
    }
    session_count_ += 1;
    auto peer = std::make_unique<Peer>(surroundings_, std::move(socket), std::move(caller));
    Peer* key = peer.get();
    peers_.emplace(key, std::move(peer));
}

// Without this, the connection would stay in the queue and be looked at again for ever.
void Server::refuse_for_want_of_descriptors() {
    log().error("a connection refused: out of descriptors (ulimit -n)");
    reserve_.reset();
    Fd(::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    reserve_ = open_reserve();
}

void Server::on_closed(Peer& peer) {
    auto node = peers_.extract(&peer);
    SHMQ_CHECK(!node.empty());
    SHMQ_CHECK(session_count_ > 0);
    session_count_ -= 1;
    accounts_.release_session(peer.caller().uid);
    // It may be running right now: it is destroyed when nothing runs.
    ended_.push_back(std::move(node.mapped()));
}

}  // namespace shmq::daemon

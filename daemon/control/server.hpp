// Accepts connections, finds out whose they are, and keeps their sessions.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "daemon/accounts.hpp"
#include "daemon/control/listener.hpp"
#include "daemon/control/peer.hpp"

namespace shmq::daemon {

class Server {
  public:
    Server(Io& io, Timers& timers, Accounts& accounts, Supervisor& supervisor, Methods& methods,
           Events& events, std::size_t& session_count, Nanoseconds frame_time_max_ns);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Begins to accept on `listener`, which outlives this.
    void start(const Listener& listener);
    // Accepts no more and ends all sessions.
    void stop();
    // Destroys the sessions that ended. REQUIRES: no handler is running.
    void bury();

  private:
    Progress on_connection();
    void admit(Fd socket);
    void refuse_for_want_of_descriptors();
    void on_closed(Peer& peer);

    Io& io_;
    Accounts& accounts_;
    std::size_t& session_count_;
    Peer::Surroundings surroundings_;
    int listening_ = -1;
    Source source_;
    Fd reserve_;  // closed to have a descriptor with which to turn somebody away
    std::map<Peer*, std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<Peer>> ended_;
};

}  // namespace shmq::daemon

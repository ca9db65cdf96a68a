// The daemon's end of one session: reads frames, at most one a round, and answers them in order.
#pragma once

#include <functional>
#include <memory>

#include "daemon/control/methods.hpp"
#include "daemon/events.hpp"
#include "daemon/io/io.hpp"
#include "daemon/timers.hpp"
#include "wire/channel.hpp"

namespace shmq::daemon {

class Peer {
  public:
    // What a peer needs of the daemon. `closed` is told once, and destroys the peer later.
    struct Surroundings {
        Io& io;
        Timers& timers;
        Supervisor& supervisor;
        Methods& methods;
        Events& events;
        Nanoseconds frame_time_max_ns;
        std::function<void(Peer&)> closed;
    };

    Peer(const Surroundings& surroundings, Fd socket, Caller caller);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    // Ends the session: what was said so far is not answered any more.
    void close(const std::string& reason);
    const Caller& caller() const { return session_.caller; }

  private:
    Progress on_ready();
    Progress on_frame(wire::Frame frame);
    Progress answer(std::string text, std::vector<Fd> descriptors);
    void watch_frame_time();
    Progress begin_watching(const wire::Call& call);
    Progress tell_some();

    const Surroundings& around_;
    wire::Channel channel_;
    Session session_;
    Source source_;
    Timer frame_timer_;
    bool closed_ = false;
    std::unique_ptr<Watcher> watcher_;  // once it has asked for events
    Timer tell_timer_;
};

}  // namespace shmq::daemon

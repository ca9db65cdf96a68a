// The daemon as a whole: builds its parts in order, runs them in one thread, takes them down in
// reverse. Tests run one in a thread of theirs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/fd.hpp"
#include "daemon/io/io.hpp"
#include "daemon/keeper/inherited.hpp"
#include "daemon/options.hpp"

namespace shmq::daemon {

// How the work of this daemon outlives it. None of both: it does not, but in its clients.
struct Survival {
    std::string manager;             // $NOTIFY_SOCKET: a service manager that keeps descriptors
    Nanoseconds watchdog_ns = 0;     // how often it wants to hear that this one lives; 0: never
    std::function<Fd()> new_keeper;  // starts a keeper of our own: our end of the socket to it
    Inherited inherited;  // what a predecessor left, the way to a running keeper included
};

class Daemon {
  public:
    explicit Daemon(Options options, Survival survival = {});
    // REQUIRES: run() has returned, or was never called.
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    // Takes the socket and listens. False: it cannot, `problem()` says why. Clients may connect as
    // soon as this returns; they are answered when run() runs.
    bool start();
    const std::string& problem() const { return problem_; }
    // Runs until stop(), SIGTERM, SIGINT, or --idle-exit; starts first where that was not done.
    // The exit status of the process: 0, or 1 where it could not start.
    int run();
    // What SIGHUP asks for: the options anew. Without it there is nothing to load.
    using Reload = std::function<ParsedOptions()>;
    void on_reload(Reload reload) { reload_ = std::move(reload); }
    // Makes run() return. From any thread, before or during run().
    void stop();

    // The socket it listens on.
    const std::string& socket() const { return options_.socket; }
    // "io_uring" or "epoll", once started.
    const char* loop_name() const;

  private:
    struct Parts;

    void open_store();
    bool listen();
    bool open_state();
    bool succeeds() const;  // to queues of a predecessor
    bool take_over();
    void restore_durable();
    void give_up();
    void watch_controls();
    Progress on_signal();
    void reload();
    void take_options(Options options);
    void declare_queues();
    void listen_for_metrics();
    void watch_idleness();
    void say_alive();
    void shut_down();

    Options options_;
    Reload reload_;
    std::string named_socket_;  // as the options had it; empty: not named
    Survival survival_;
    std::string problem_;
    Fd stop_event_;
    Nanoseconds waited_ = 0;  // for events, so far
    std::unique_ptr<Parts> parts_;
};

}  // namespace shmq::daemon

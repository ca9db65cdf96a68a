// The daemon's other half where no service manager keeps descriptors: a process of another name
// that does nothing but hold what the daemon gives it (queues' memory, pidfds of clients, the
// listening socket) and start the daemon anew when it dies, with all of that. The daemon starts the
// keeper anew when that dies (store.hpp).
//
// A daemon that ends because it was told to says so before (STOPPING=1), and the keeper ends, too.
// So it does when the daemon cannot start the first time: with the daemon's exit status.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "daemon/keeper/back_off.hpp"

namespace shmq::daemon {

constexpr Nanoseconds start_delay_most_ns = 5 * nanoseconds_per_second;

class Keeper {
  public:
    // `command`: the daemon's program and its arguments.
    explicit Keeper(std::vector<std::string> command) : command_(std::move(command)) {}

    // Takes over a daemon that runs already: our end of its socket, and its pid.
    void watch(Fd socket, pid_t daemon);
    // Until the daemon has ended for good, or SIGTERM or SIGINT were passed on to it and it ended.
    // The exit status of the process.
    int run();

  private:
    bool running() const { return daemon_ > 0; }
    void start();
    [[noreturn]] void become_daemon(int socket);
    void wait_for_something();
    void take_signals();
    void take_notices();
    void on_death();
    void on_hang_up();
    void pass_on(int signal);
    void reap();

    std::vector<std::string> command_;
    std::map<std::string, Fd> kept_;  // by name
    Fd signals_;
    Fd socket_;
    Fd pidfd_;
    pid_t daemon_ = -1;
    int status_ = 0;         // of the daemon, as waitpid tells it; 0 where it is no child of ours
    bool ready_ = false;     // some daemon of ours has been up
    bool stopping_ = false;  // it ends because it was told to
    bool told_ = false;      // and it was we who were told
    bool ended_ = false;
    Nanoseconds started_at_ = 0;
    Nanoseconds start_due_ = 0;
    BackOff back_off_{start_delay_most_ns};
};

}  // namespace shmq::daemon

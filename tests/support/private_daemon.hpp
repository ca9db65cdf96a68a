// A shmqd of one's own, on a socket in a directory of its own; both end with the object. For tests
// and benches.
#pragma once

#include <sys/types.h>

#include <string>

namespace shmq::support {

class PrivateDaemon {
  public:
    // Ends the program with a message if the daemon does not answer.
    PrivateDaemon();
    ~PrivateDaemon();
    PrivateDaemon(const PrivateDaemon&) = delete;
    PrivateDaemon& operator=(const PrivateDaemon&) = delete;

    const std::string& socket() const { return socket_; }
    // What the daemon has said so far.
    std::string log() const;
    // The process that was started, and that ends both: the daemon is its child.
    pid_t keeper_pid() const { return pid_; }

  private:
    std::string directory_;
    std::string socket_;
    pid_t pid_ = -1;
};

}  // namespace shmq::support

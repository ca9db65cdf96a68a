// A daemon and its keeper of one's own, to be killed: in a directory of their own, and all below
// this process, so that no orphan is lost sight of. At most one in a process.
#pragma once

#include <sys/types.h>

#include <string>

namespace shmq::chaos {

class Household {
  public:
    // Throws std::runtime_error if the daemon does not answer.
    explicit Household(std::string daemon_program);
    ~Household();
    Household(const Household&) = delete;
    Household& operator=(const Household&) = delete;

    const std::string& socket() const { return socket_; }
    // What daemon and keeper have said.
    std::string log() const;

    // The one that runs now; -1: none.
    pid_t daemon() const;
    pid_t keeper() const;
    // Starts a daemon where neither is left. True if it did.
    bool revive();
    // Ends both in order. False: they do not end.
    bool end();

  private:
    void start();

    std::string program_;
    std::string directory_;
    std::string socket_;
};

}  // namespace shmq::chaos

// The socket and its lock: who listens where, and that only one does.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.hpp"

namespace shmq::daemon {

// Where a daemon of this user listens when nobody says otherwise: $SHMQ_SOCKET, /run/shmq/socket
// for root, $XDG_RUNTIME_DIR/shmq/socket, /tmp/shmq-UID/socket.
std::string default_socket_path();
// The same without $SHMQ_SOCKET.
std::string usual_socket_path();

// A listening socket, held by `flock` on `<path>.lock` as long as this lives.
class Listener {
  public:
    // What went wrong, for people; empty: it listens. A stale socket file is replaced, a living
    // daemon's is not: the answer then says who it is.
    // Where a predecessor's socket and lock are given, it goes on with them: whoever connects
    // between two daemons waits and is not refused. `lent`: the socket is a socket unit's.
    std::string open(const std::string& path, Fd socket = {}, Fd lock = {}, bool lent = false);
    // The socket is not ours to keep, nor its file to remove.
    bool lent() const { return lent_; }
    // Why open() failed: a daemon lives there.
    bool held_by_another() const { return held_by_another_; }
    // Whether the daemon before did not end in order.
    bool predecessor_died() const { return predecessor_died_; }
    // Takes the socket's file away, if it is still this one's and not lent; then lets go of the
    // lock. The lock's file stays: removing it would let two daemons lock two files of one name.
    void close();
    // Lets go, and leaves socket and lock to whoever else has them.
    void abandon();

    Listener() = default;
    ~Listener() { close(); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    const std::string& path() const { return path_; }
    int fd() const { return socket_.get(); }
    int lock_fd() const { return lock_.get(); }

  private:
    std::string lock(Fd inherited);
    std::string bind_and_listen();
    bool take_over(Fd socket, bool lent);

    std::string path_;
    Fd lock_;
    Fd socket_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    bool predecessor_died_ = false;
    bool held_by_another_ = false;
    bool lent_ = false;
};

}  // namespace shmq::daemon

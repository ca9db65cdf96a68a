// Processes in namespaces of their own, as in containers that share only a socket.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>

namespace shmq::support {

struct Surroundings {
    int namespaces = 0;          // CLONE_NEW…
    long monotonic_ahead_s = 0;  // with CLONE_NEWTIME: of the clock outside
    std::string root = {};       // with CLONE_NEWNS: an empty directory to become the root, and
    std::string shared = {};     // ...the only thing in it, as /run
    uid_t uid = 0;               // with CLONE_NEWUSER: whose process it is, seen from outside
};
// This process goes there; what it forks next is inside of all of them. Empty, or why it could not.
std::string enter(const Surroundings& surroundings);
// Empty, or why this machine (or this user) cannot.
std::string why_not(const Surroundings& surroundings);

// Steps that both sides of a Neighbour wait for.
class Steps {
  public:
    // Inside: says that it has come so far.
    void reach(int step) { reached_ = step; }
    // Inside: waits until it may go on.
    void wait_for_leave(int step) const;

  private:
    friend class Neighbour;
    std::atomic<int> pid_{0};
    std::atomic<int> reached_{0};
    std::atomic<int> allowed_{0};
};

// A process there that runs `body` and ends with what it returns. Killed with the object.
class Neighbour {
  public:
    Neighbour(const Surroundings& surroundings, const std::function<int(Steps&)>& body);
    ~Neighbour();
    Neighbour(const Neighbour&) = delete;
    Neighbour& operator=(const Neighbour&) = delete;

    // False: it did not, within a time that is long enough for everything.
    bool reaches(int step) const;
    void allow(int step) { steps_->allowed_ = step; }
    // Its exit status; 1000 and the signal that killed it.
    int ends();
    void kill();
    pid_t pid() const { return steps_->pid_; }  // as it is known out here

  private:
    Steps* steps_ = nullptr;
    pid_t outer_ = -1;
};

}  // namespace shmq::support

// A process that runs from one system call to the next: attach, detach and the daemon's work, whose
// instants are where others can see something of them.
#pragma once

#include <sys/types.h>

#include <functional>

namespace shmq::step {

class SystemCalls {
  public:
    // A child that calls `body` and exits with what it returns.
    explicit SystemCalls(const std::function<int()>& body);
    // A process that runs already; it stands still from here on.
    explicit SystemCalls(pid_t running);
    ~SystemCalls();  // kills it
    SystemCalls(const SystemCalls&) = delete;
    SystemCalls& operator=(const SystemCalls&) = delete;

    // To where its main thread next enters or leaves a system call. False: it has ended.
    // `while_waiting` is called now and then; false from it ends the waiting, and the call.
    bool next(const std::function<bool()>& while_waiting = [] { return true; });
    void kill();
    // Lets it run unwatched.
    void let_go();
    // Runs to its end; its exit status, or -1.
    int run_to_end();

  private:
    bool wait_for_stop(const std::function<bool()>& while_waiting);

    pid_t pid_;
    int status_ = 0;
    int signal_ = 0;  // to be delivered when it goes on
    bool stopped_ = true;
};

}  // namespace shmq::step

// Children of the demo: each dies with its parent, and none is waited for without an end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace demo {

using TimePoint = std::chrono::steady_clock::time_point;

class Child {
  public:
    // Runs `work` in a forked process; its result is the exit status.
    static Child run(const std::function<int()>& work);
    // Runs a program, its standard error into the file `log`. `outlives_us`: it stays when we end.
    static Child start(const std::string& program, const std::string& socket,
                       const std::string& log, bool outlives_us);

    Child(Child&& other) noexcept;
    Child& operator=(Child&&) = delete;
    ~Child();  // kills it if it still runs, unless it may outlive us

    pid_t pid() const { return pid_; }
    void signal(int number) const;
    // Its wait status (see waitpid) if it has ended.
    std::optional<int> ended();
    // The same, waiting until then; nothing if it has not ended by `deadline`.
    std::optional<int> wait_until(TimePoint deadline);
    // From now on nobody ends it for us.
    void let_go() { outlives_us_ = true; }

  private:
    Child(pid_t pid, bool outlives_us) : pid_(pid), outlives_us_(outlives_us) {}

    pid_t pid_;
    bool outlives_us_;
    std::optional<int> status_;
};

// The folder that our own program lies in, with a slash behind.
std::string own_folder();

// Ends the demo with an error after so long, whatever hangs, and `daemon` with it; the other
// children die with us anyway. 0 seconds: never.
void set_watchdog(unsigned seconds, pid_t daemon);

void pause_for(std::chrono::nanoseconds time);

}  // namespace demo

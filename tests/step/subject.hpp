// The process under test: a fork of the harness, run one instruction at a time, copied where it
// stands, or killed. The copy is a fork that the harness makes it do between two instructions: it
// shares what its original shares, and has private memory and registers of its own as of that
// instant.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "step/report.hpp"

namespace shmq::step {

class Subject {
  public:
    // A process that calls `body` and ends. It stands before the first instruction of `body`, give
    // or take the call.
    Subject(Report& report, const std::function<void()>& body);
    ~Subject();  // kills it
    Subject(Subject&& other) noexcept;
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

    // Runs one instruction, a system call included. False: `body` has returned. `while_asleep` is
    // called when that instruction is a sleep on a futex: it must make the call return.
    bool step(const std::function<void()>& while_asleep);
    // Whether the last instruction was a system call.
    bool called_system() const { return called_system_; }
    // Whether it stands within the kernel's code that reads the clock without a system call. That
    // code begins anew whenever the clock ticked meanwhile: who pauses there never gets out.
    bool in_clock() const;
    Subject copy();
    // Runs until `body` has returned. `while_slow` is called now and then if that takes long.
    void run_to_end(const std::function<void()>& while_slow);
    // SIGKILL; returns when it is dead.
    void kill();
    // Where it stands, as text, for messages: file and line if the system can tell.
    std::string where() const;

  private:
    Subject(Report& report, pid_t pid) : report_(&report), pid_(pid) {}
    void wait_for_stop(int event);
    bool at_futex_wait();
    bool asleep() const;
    [[noreturn]] void give_up(const char* what) const;

    Report* report_;
    pid_t pid_;
    std::uint64_t address_ = 0;  // of its next instruction; 0: not known yet
    bool called_system_ = false;
};

}  // namespace shmq::step

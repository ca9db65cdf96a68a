// A shell command that gets bytes on its standard input.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>

namespace shmq::cli {

struct ChildEnd {
    bool signalled = false;
    int status = 0;  // exit status, or the signal's number

    bool good() const { return !signalled && status == 0; }
};

// Runs `sh -c COMMAND` to its end, with our standard output and error. Calls `tick` about every
// `period` meanwhile. A command that does not read its input is no error. Signals that ask us to
// end do not cut it short. Failure if it could not be started.
ChildEnd run_command(const std::string& command, std::span<const std::byte> input,
                     std::chrono::nanoseconds period, const std::function<void()>& tick);

// `exit status 3`, `signal 9 (Killed)`.
std::string describe(const ChildEnd& end);

}  // namespace shmq::cli

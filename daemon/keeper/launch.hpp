// Starting a keeper, from a program that is to be a daemon, and from a daemon whose keeper died.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"

namespace shmq::daemon {

// What a keeper starts: this program by its full path, and its arguments. To be asked for at the
// start, when the program's file is still there.
std::vector<std::string> own_command(int argument_count, const char* const* arguments);
// The keeper's program, beside ours; empty: there is none.
std::string keeper_program(const std::vector<std::string>& command);

// Makes this process a keeper that starts `command`. Returns only if it cannot: errno says why.
void become_keeper(const std::string& program, const std::vector<std::string>& command);
// Starts a keeper of this process, as no child of it. Our end of the socket to it; invalid: errno.
Fd start_keeper(const std::string& program, const std::vector<std::string>& command);

}  // namespace shmq::daemon

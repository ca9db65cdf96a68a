// A verb again and again: --watch.
#pragma once

#include <chrono>

#include "cli/command.hpp"

namespace shmq::cli {

// Does it every so often until SIGINT or SIGTERM, and then ends as done; a Failure ends it. On a
// terminal each time takes the place of the one before, elsewhere it follows it.
Action watched(Action action, std::chrono::nanoseconds every);

}  // namespace shmq::cli

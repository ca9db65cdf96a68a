// The daemon's log: one line per event on standard error, or to journald where that reads it, with
// queue, pid, uid and reason in it wherever there is one.
#pragma once

#include <string>

#include <spdlog/spdlog.h>

namespace shmq::daemon {

spdlog::logger& log();
// "trace" to "error", "off"; as --log-level.
void set_log_level(const std::string& level);
// Text of a peer's, fit for one line: control characters and what is no ASCII as \xNN, and cut
// short, so that nobody forges or floods lines.
std::string log_quoted(std::string_view text);

}  // namespace shmq::daemon

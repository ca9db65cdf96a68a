// The log as journald keeps it: with fields, by its native protocol.
#pragma once

#include <spdlog/common.h>

#include <string>
#include <string_view>
#include <vector>

namespace shmq::daemon {

// Whether standard error goes to journald ($JOURNAL_STREAM names the very same file).
bool logs_to_journal();
// Null: journald cannot be reached.
spdlog::sink_ptr make_journal_sink();

// The fields of a line: PRIORITY, SYSLOG_IDENTIFIER, MESSAGE, and as far as the line names them,
// SHMQ_QUEUE ("queue NAME") and SHMQ_PID ("pid N", "process N").
std::string journal_fields(std::string_view line, spdlog::level::level_enum level);

}  // namespace shmq::daemon

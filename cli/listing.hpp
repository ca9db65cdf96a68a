// How queues are shown, as JSON and for people. Names of JSON members are for scripts: they stay.
#pragma once

#include <string_view>

#include <shmq/queue.hpp>

#include "cli/json.hpp"

namespace shmq::cli {

std::string_view overflow_name(Overflow overflow);
Json to_json(const QueueInfo& queue);

}  // namespace shmq::cli

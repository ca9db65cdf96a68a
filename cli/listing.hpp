// How queues are shown, as JSON and for people. Names of JSON members are for scripts: they stay.
#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <shmq/queue.hpp>

namespace shmq::cli {

std::string_view overflow_name(Overflow overflow);
nlohmann::ordered_json to_json(const QueueInfo& queue);

}  // namespace shmq::cli

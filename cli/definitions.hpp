// Queues' options as JSON that people keep: what export writes and import reads. Names and units
// are those of 'shmq create': `"capacity": 1024, "lease": "30s", "pool": "64MiB"`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <shmq/queue.hpp>

#include "cli/json.hpp"

namespace shmq::cli {

struct QueueDefinition {
    std::string name;
    QueueOptions options;
    std::optional<std::uint32_t> owner = std::nullopt;  // not said: whoever imports
};

// Everything that another daemon needs to make the same queue. Users and groups are names where
// they have one.
Json to_json(const QueueDefinition& definition);

// What `export` printed, or what somebody wrote: members may be left out. Failure with
// Exit::failed, which names the place, and the nearest known name of one that is not known.
std::vector<QueueDefinition> read_definitions(std::string_view text);

// Empty if a queue with `present` is as `wanted` says; else what differs: `capacity is 1024, not
// 64`. What `wanted` does not say is fine.
std::string difference(const QueueOptions& present, const QueueOptions& wanted);

}  // namespace shmq::cli

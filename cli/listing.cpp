#include "cli/listing.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace shmq::cli {

std::string_view overflow_name(Overflow overflow) {
    switch (overflow) {
        case Overflow::block:
            return "block";
        case Overflow::reject:
            return "reject";
        case Overflow::drop_oldest:
            return "drop-oldest";
    }
    return "unknown";
}

nlohmann::ordered_json to_json(const QueueInfo& queue) {
    const QueueOptions& options = queue.options;
    return {
        {"name", queue.name},
        {"capacity", options.capacity},
        {"ready", queue.ready},
        {"leased", queue.leased},
        {"returned", queue.returned},
        {"sent", queue.sent},
        {"sent_bytes", queue.sent_bytes},
        {"delivered", queue.delivered},
        {"acked", queue.acked},
        {"redelivered", queue.redelivered},
        {"dropped", queue.dropped},
        {"dropped_oldest", queue.dropped_oldest},
        {"dropped_rejected", queue.dropped_rejected},
        {"dropped_damaged", queue.dropped_damaged},
        {"purged", queue.purged},
        {"expired", queue.expired},
        {"reclaimed", queue.reclaimed},
        {"producers", queue.producers},
        {"consumers", queue.consumers},
        {"quarantined", queue.quarantined},
        {"slot_size", options.slot_size},
        {"max_message", options.max_message},
        {"pool", options.pool},
        {"memory_bytes", queue.memory_bytes},
        {"overflow", overflow_name(options.overflow)},
        {"lease_ns", options.lease.count()},
        {"in_flight", options.in_flight},
        {"exclusive_producer", options.exclusive_producer},
        {"exclusive_consumer", options.exclusive_consumer},
        {"exact_timestamps", options.exact_timestamps},
        {"owner", queue.owner_uid},
        {"group", queue.group_gid},
        {"mode", fmt::format("{:04o}", options.mode)},
    };
}

}  // namespace shmq::cli

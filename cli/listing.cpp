#include "cli/listing.hpp"

#include <fmt/format.h>

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

Json to_json(const QueueInfo& queue) {
    const QueueOptions& options = queue.options;
    Json json = Json::object();
    json.add("name", queue.name)
        .add("capacity", options.capacity)
        .add("ready", queue.ready)
        .add("leased", queue.leased)
        .add("returned", queue.returned)
        .add("sent", queue.sent)
        .add("sent_bytes", queue.sent_bytes)
        .add("delivered", queue.delivered)
        .add("acked", queue.acked)
        .add("redelivered", queue.redelivered)
        .add("dropped", queue.dropped)
        .add("dropped_oldest", queue.dropped_oldest)
        .add("dropped_rejected", queue.dropped_rejected)
        .add("dropped_damaged", queue.dropped_damaged)
        .add("purged", queue.purged)
        .add("expired", queue.expired)
        .add("reclaimed", queue.reclaimed)
        .add("producers", queue.producers)
        .add("consumers", queue.consumers)
        .add("quarantined", queue.quarantined)
        .add("slot_size", options.slot_size)
        .add("max_message", options.max_message)
        .add("pool", options.pool)
        .add("memory_bytes", queue.memory_bytes)
        .add("overflow", overflow_name(options.overflow))
        .add("lease_ns", options.lease.count())
        .add("in_flight", options.in_flight)
        .add("exclusive_producer", options.exclusive_producer)
        .add("exclusive_consumer", options.exclusive_consumer)
        .add("exact_timestamps", options.exact_timestamps)
        .add("owner", queue.owner_uid)
        .add("group", queue.group_gid)
        .add("mode", fmt::format("{:04o}", options.mode));
    return json;
}

}  // namespace shmq::cli

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
        .add("delayed", queue.delayed)
        .add("held", queue.held)
        .add("alarm", queue.alarm)
        .add("sent", queue.sent)
        .add("sent_bytes", queue.sent_bytes)
        .add("delivered", queue.delivered)
        .add("acked", queue.acked)
        .add("redelivered", queue.redelivered)
        .add("dropped", queue.dropped)
        .add("dropped_oldest", queue.dropped_oldest)
        .add("dropped_rejected", queue.dropped_rejected)
        .add("dropped_damaged", queue.dropped_damaged)
        .add("dropped_failed", queue.dropped_failed)
        .add("dead_lettered", queue.dead_lettered)
        .add("dead_rejected", queue.dead_rejected)
        .add("dead_expired", queue.dead_expired)
        .add("dead_crashed", queue.dead_crashed)
        .add("dead_limit", queue.dead_limit)
        .add("moved_in", queue.moved_in)
        .add("redriven", queue.redriven)
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
        .add("max_deliveries", options.max_deliveries.value_or(0))
        .add("dead_letter", options.dead_letter.value_or(""))
        .add("retry_delay_ns", options.retry_delay.count())
        .add("retry_delay_max_ns", options.retry_delay_max.count())
        .add("pause_stopped", options.pause_stopped)
        .add("owner", queue.owner_uid)
        .add("group", queue.group_gid)
        .add("mode", fmt::format("{:04o}", options.mode));
    return json;
}

}  // namespace shmq::cli

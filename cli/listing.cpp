#include "cli/listing.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cli/options.hpp"
#include "cli/text.hpp"

namespace shmq::cli {

std::size_t place_of(const std::string& text, std::span<const std::string_view> names) {
    const auto found = std::find(names.begin(), names.end(), text);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    throw BadValue(fmt::format("'{}'; it is {} or {}", escape(text),
                               fmt::join(names.first(names.size() - 1), ", "), names.back()));
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
        .add("gate", name_of(gate_names, queue.gate))
        .add("journal", name_of(journal_state_names, queue.journal))
        .add("spilled", queue.spilled)
        .add("spilled_bytes", queue.spilled_bytes)
        .add("journal_bytes", queue.journal_bytes)
        .add("syncs", queue.syncs)
        .add("logged", queue.logged)
        .add("durable", queue.durable)
        .add("recovery_bytes", queue.recovery_bytes)
        .add("recovered_bytes", queue.recovered_bytes)
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
        .add("producers_paused", queue.producers_paused)
        .add("consumers_paused", queue.consumers_paused)
        .add("slot_size", options.slot_size)
        .add("max_message", options.max_message)
        .add("pool", options.pool)
        .add("memory_bytes", queue.memory_bytes)
        .add("overflow", name_of(overflow_names, options.overflow))
        .add("spill_limit", options.spill_limit)
        .add("when_full", name_of(when_full_names, options.when_full))
        .add("durability", name_of(durability_names, options.durability))
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

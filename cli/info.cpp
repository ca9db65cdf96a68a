// shmq info NAME [--json]: everything known about one queue.
// Exit: 0 shown, 1 no such queue or no right on it.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/listing.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct InfoOptions {
    std::string name;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq info jobs\n"
    "  shmq info jobs --json | jq .ready";

void add_counts(Fields& fields, const QueueInfo& queue) {
    const std::pair<std::string_view, std::uint64_t> counts[] = {
        {"ready", queue.ready},
        {"leased", queue.leased},
        {"returned", queue.returned},
        {"delayed", queue.delayed},
        {"held", queue.held},
        {"sent", queue.sent},
        {"delivered", queue.delivered},
        {"acked", queue.acked},
        {"redelivered", queue.redelivered},
        {"dropped", queue.dropped},
        {"  oldest", queue.dropped_oldest},
        {"  rejected", queue.dropped_rejected},
        {"  damaged", queue.dropped_damaged},
        {"  failed too often", queue.dropped_failed},
        {"dead-lettered", queue.dead_lettered},
        {"  rejected", queue.dead_rejected},
        {"  lease expired", queue.dead_expired},
        {"  crashed", queue.dead_crashed},
        {"  max deliveries", queue.dead_limit},
        {"moved in", queue.moved_in},
        {"redriven", queue.redriven},
        {"purged", queue.purged},
        {"leases expired", queue.expired},
        {"reclaimed", queue.reclaimed},
        {"producers", queue.producers},
        {"consumers", queue.consumers},
    };
    for (const auto& [key, count] : counts)
        fields.add(key, format_count(count));
}

std::string retry_delay_text(const QueueOptions& options) {
    if (options.retry_delay.count() == 0) return "none";
    std::string text = format_duration_exact(options.retry_delay);
    if (options.retry_delay_max > options.retry_delay) {
        text += ".." + format_duration_exact(options.retry_delay_max);
    }
    return text;
}

void add_journal(Fields& fields, const QueueInfo& queue) {
    if (queue.journal == JournalState::none) return;
    const QueueOptions& options = queue.options;
    fields.add("journal", std::string(name_of(journal_state_names, queue.journal)),
               queue.journal != JournalState::ok);
    if (queue.journal == JournalState::recovering) {
        fields.add("  read", fmt::format("{} of {}", format_size(queue.recovered_bytes),
                                         format_size(queue.recovery_bytes)));
    }
    fields.add("  gate", std::string(name_of(gate_names, queue.gate)));
    fields.add("  spilled", format_count(queue.spilled));
    fields.add("  spilled bytes", format_size(queue.spilled_bytes));
    fields.add("  on disk", format_size(queue.journal_bytes));
    fields.add("  spill limit",
               options.spill_limit == 0 ? "as the disk allows" : format_size(options.spill_limit));
    fields.add("  when full", std::string(name_of(when_full_names, options.when_full)));
    fields.add("  durability", std::string(name_of(durability_names, options.durability)));
    fields.add("  logged", format_count(queue.logged));
    fields.add("  durable", format_count(queue.durable));
    fields.add("  syncs", format_count(queue.syncs));
}

std::string paused_text(const QueueInfo& queue) {
    if (queue.producers_paused && queue.consumers_paused) return "producers and consumers";
    return queue.producers_paused ? "producers" : "consumers";
}

std::string text_of(const QueueInfo& queue) {
    const QueueOptions& options = queue.options;
    const auto yes_no = [](bool yes) { return std::string(yes ? "yes" : "no"); };
    Fields fields;
    fields.add("name", queue.name);
    if (queue.quarantined) fields.add("state", "quarantined: found damaged, out of service", true);
    if (queue.producers_paused || queue.consumers_paused)
        fields.add("paused", paused_text(queue), true);
    if (!queue.alarm.empty()) fields.add("alarm", escape(queue.alarm), true);
    fields.add("capacity", format_count(options.capacity));
    add_counts(fields, queue);
    add_journal(fields, queue);
    fields.add("sent bytes", format_size(queue.sent_bytes));
    fields.add("slot size", format_size(options.slot_size));
    fields.add("max message", format_size(options.max_message));
    fields.add("pool", format_size(options.pool));
    fields.add("memory, at most", format_size(queue.memory_bytes));
    fields.add("overflow", std::string(name_of(overflow_names, options.overflow)));
    fields.add("lease", format_duration_exact(options.lease));
    fields.add("pause stopped", yes_no(options.pause_stopped));
    const std::uint32_t most = options.max_deliveries.value_or(0);
    fields.add("max deliveries", most == 0 ? "unlimited" : format_count(most));
    const std::string dead_letter = options.dead_letter.value_or("");
    fields.add("dead letters", dead_letter.empty() ? "dropped" : "to " + dead_letter);
    fields.add("retry delay", retry_delay_text(options));
    fields.add("in flight, at most", format_count(options.in_flight));
    fields.add("exclusive producer", yes_no(options.exclusive_producer));
    fields.add("exclusive consumer", yes_no(options.exclusive_consumer));
    fields.add("exact timestamps", yes_no(options.exact_timestamps));
    fields.add("owner, group, mode",
               fmt::format("{} {} {:04o}", queue.owner_uid, queue.group_gid, options.mode));
    return fields.text(coloured());
}

Exit show(const Context& context, const InfoOptions& options) {
    Client client = context.connect();
    const QueueInfo queue = need(client.describe(options.name));
    if (options.json) {
        print(to_json(queue).text());
    } else {
        print(text_of(queue));
    }
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<InfoOptions>();
    command.name(options->name);
    command.json(options->json);
    command.watch();
    return [options, &context] { return show(context, *options); };
}

}  // namespace

constinit const Verb info_verb{"info", "Show one queue: counts, totals, options", example, prepare};

}  // namespace shmq::cli

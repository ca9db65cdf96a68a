// shmq ls [--json]: the queues that you may see.
// Exit: 0, also if there is none.
#include "cli/command.hpp"
#include "cli/listing.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct LsOptions {
    bool json = false;
    bool names = false;
};

constexpr std::string_view example =
    "  shmq ls\n"
    "  shmq ls --json | jq -r '.[] | select(.ready > 1000) | .name'";

std::string table_of(const std::vector<QueueInfo>& queues) {
    using enum Table::Align;
    Table table{{"NAME"},
                {"READY", right},
                {"SPILLED", right, 4},
                {"LEASED", right},
                {"RETURNED", right, 5},
                {"SENT", right, 3},
                {"ACKED", right, 2},
                {"DROPPED", right, 1},
                {"PRODUCERS", right, 6},
                {"CONSUMERS", right, 1}};
    for (const QueueInfo& queue : queues) {
        table.add_row(
            {queue.name + (queue.quarantined ? " (quarantined)" : ""), format_count(queue.ready),
             format_count(queue.spilled), format_count(queue.leased), format_count(queue.returned),
             format_count(queue.sent), format_count(queue.acked), format_count(queue.dropped),
             format_count(queue.producers), format_count(queue.consumers)},
            queue.quarantined || !queue.alarm.empty());
    }
    return table.text(coloured());
}

Exit list(const Context& context, const LsOptions& options) {
    Client client = context.connect();
    const std::vector<QueueInfo> queues = need(client.list());
    if (options.names) {
        std::string text;
        for (const QueueInfo& queue : queues)
            text += queue.name + "\n";
        print(text);
    } else if (options.json) {
        Json all = Json::array();
        for (const QueueInfo& queue : queues)
            all.push(to_json(queue));
        print(all.text());
    } else {
        print(table_of(queues));
    }
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<LsOptions>();
    const auto json = command.json(options->json);
    command.watch();
    // Names alone, for the shell's completion.
    Options::exclude(command.hidden_flag("--names", options->names), json);
    return [options, &context] { return list(context, *options); };
}

}  // namespace

constinit const Verb ls_verb{"ls", "List the queues", example, prepare};

}  // namespace shmq::cli

// shmq consumers [NAME] [--json]: who takes part in a queue, or in all that you may look into: each
// consumer and producer, its process and what that does, and how far it is.
// Exit: 0 shown, also if there is none; 1 no such queue or no right.
#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/members.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct ConsumersOptions {
    std::string name;
    bool json = false;
};

struct Household {
    std::string queue;
    std::vector<Member> members;
};

constexpr std::string_view example =
    "  shmq consumers jobs\n"
    "  shmq consumers --json | jq '.[] | select(.process_state == \"T\")'";

std::vector<Household> look(const Context& context, const std::string& name) {
    Client client = context.connect();
    std::vector<Household> found;
    if (!name.empty()) {
        found.push_back({name, members_of(client, name)});
        return found;
    }
    for (const QueueInfo& queue : need(client.list())) {
        if (queue.producers + queue.consumers == 0) continue;
        try {
            found.push_back({queue.name, members_of(client, queue.name)});
        } catch (const Failure&) {
            // Removed since, or only to be produced to: not ours to look into.
        }
    }
    return found;
}

std::string table_of(const std::vector<Household>& households) {
    using enum Table::Align;
    Table table{{"QUEUE"},
                {"NUMBER", right, 3},
                {"ROLE"},
                {"PID", right},
                {"UID", right, 7},
                {"STATE"},
                {"HELD", right},
                {"OLDEST", right},
                {"DELIVERED", right, 4},
                {"ACKED", right, 2},
                {"SENT", right, 5},
                {"ATTACHED", right, 6},
                {"EXECUTABLE", left, 1}};
    for (const Household& household : households) {
        for (const Member& member : household.members) {
            table.add_row({household.queue, std::to_string(member.number),
                           std::string(member.consumer ? "consumer" : "producer"),
                           member.pid == 0 ? "-" : std::to_string(member.pid),
                           std::to_string(member.uid), std::string(1, member.state),
                           member.consumer ? format_count(member.in_flight) : "-",
                           member.in_flight == 0 ? "-" : format_duration(member.oldest_unacked),
                           member.consumer ? format_count(member.delivered) : "-",
                           member.consumer ? format_count(member.acked) : "-",
                           member.consumer ? "-" : format_count(member.sent),
                           format_duration(member.attached),
                           member.executable.empty() ? "-" : escape(member.executable)},
                          member.stuck());
        }
    }
    return table.text(coloured());
}

Exit show(const Context& context, const ConsumersOptions& options) {
    const std::vector<Household> households = look(context, options.name);
    if (!options.json) {
        print(table_of(households));
        return Exit::done;
    }
    Json all = Json::array();
    for (const Household& household : households) {
        for (const Member& member : household.members) {
            Json json = to_json(member);
            json.add("queue", household.queue);
            all.push(std::move(json));
        }
    }
    print(all.text());
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<ConsumersOptions>();
    command.optional_name(options->name, "Name of the queue (default: all that you may look into)");
    command.json(options->json);
    command.watch();
    return [options, &context] { return show(context, *options); };
}

}  // namespace

constinit const Verb consumers_verb{
    "consumers", "Show who takes part: processes, what they hold, how far they are", example,
    prepare};

}  // namespace shmq::cli

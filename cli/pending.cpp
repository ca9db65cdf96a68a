// shmq pending NAME [--json]: each unacked message, who holds it and for how long yet; and what
// waits for its time, or for room in the dead-letter queue. Exit: 0 shown, also if there is none; 1
// no such queue or no right.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/process.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

struct PendingOptions {
    std::string name;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq pending jobs\n"
    "  shmq pending jobs --json | jq '.[] | select(.process_state == \"T\")'";

char state_of_holder(const wire::Pending& message) {
    return message.pid == 0 ? '?' : look_at_process(message.pid).state;
}

Json json_of(const wire::Pending& message) {
    Json json = Json::object();
    json.add("sequence", message.sequence).add("state", wire::pending_state_token(message.state));
    message.pid != 0 ? json.add("pid", message.pid) : json.add_null("pid");
    const bool who = !message.executable.empty();
    who ? json.add("executable", message.executable) : json.add_null("executable");
    message.pid != 0 ? json.add("uid", message.uid) : json.add_null("uid");
    const char state = state_of_holder(message);
    json.add("process_state", std::string_view(&state, 1)).add("age_ns", message.age_ns);
    const auto add_time = [&json](const char* name, const std::optional<std::uint64_t>& time) {
        time ? json.add(name, *time) : json.add_null(name);
    };
    add_time("lease_left_ns", message.lease_left_ns);
    add_time("due_in_ns", message.due_in_ns);
    json.add("deliveries", message.deliveries)
        .add("failures", message.failures)
        .add("size", message.size);
    return json;
}

// What is left of its lease, or until it is due.
std::string time_left(const wire::Pending& message) {
    const auto& left = message.due_in_ns ? message.due_in_ns : message.lease_left_ns;
    if (!left) return "-";
    return format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(*left)));
}

std::string table_of(const std::vector<wire::Pending>& messages) {
    using enum Table::Align;
    Table table{
        {"SEQUENCE", right},    {"STATE"},          {"PID", right},  {"UID", right, 5},
        {"PROCESS", {}, 2},     {"AGE", right},     {"LEFT", right}, {"DELIVERIES", right, 1},
        {"FAILURES", right, 3}, {"SIZE", right, 4}, {"EXECUTABLE"}};
    for (const wire::Pending& message : messages) {
        table.add_row(
            {std::to_string(message.sequence),
             std::string(wire::pending_state_token(message.state)),
             message.pid == 0 ? "-" : std::to_string(message.pid),
             message.pid == 0 ? "-" : std::to_string(message.uid),
             std::string(1, state_of_holder(message)),
             format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(message.age_ns))),
             time_left(message), std::to_string(message.deliveries),
             std::to_string(message.failures), std::to_string(message.size),
             message.executable.empty() ? "-" : escape(message.executable)});
    }
    return table.text(coloured());
}

Exit show(const Context& context, const PendingOptions& options) {
    Client client = context.connect();
    const auto messages = need(SessionAccess::of(client)->pending(options.name));
    if (!options.json) {
        print(table_of(messages));
        return Exit::done;
    }
    Json all = Json::array();
    for (const wire::Pending& message : messages)
        all.push(json_of(message));
    print(all.text());
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<PendingOptions>();
    command.name(options->name);
    command.json(options->json);
    command.watch();
    return [options, &context] { return show(context, *options); };
}

}  // namespace

constinit const Verb pending_verb{"pending", "Show each unacked message and who holds it", example,
                                  prepare};

}  // namespace shmq::cli

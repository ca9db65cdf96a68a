// shmq pending NAME [--json]: each unacked message and who holds it.
// Exit: 0 shown, also if there is none; 1 no such queue or no right.
#include <limits>
#include <map>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/observation.hpp"
#include "cli/output.hpp"
#include "cli/process.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct PendingOptions {
    std::string name;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq pending jobs\n"
    "  shmq pending jobs --json | jq '.[] | select(.process_state == \"T\")'";

struct Owner {
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    ProcessInfo process;
    bool known = false;
};

std::map<std::uint16_t, Owner> owners_in(const shm::Segment& segment) {
    std::map<std::uint16_t, Owner> owners;
    for (const shm::ParticipantView& participant : shm::list_participants(segment)) {
        if (participant.role != shm::Role::consumer) continue;
        owners[participant.number] = {participant.pid, participant.uid,
                                      look_at_process(participant.pid), true};
    }
    return owners;
}

Json to_json(const shm::MessageView& message, const Owner& owner) {
    Json json = Json::object();
    json.add("sequence", message.sequence);
    owner.pid != 0 ? json.add("pid", owner.pid) : json.add_null("pid");
    const std::string& executable = owner.process.executable;
    executable.empty() ? json.add_null("executable") : json.add("executable", executable);
    owner.known ? json.add("uid", owner.uid) : json.add_null("uid");
    json.add("process_state", std::string_view(&owner.process.state, 1))
        .add("age_ns", age_of(message.timestamp).count())
        .add("deliveries", message.deliveries)
        .add("failures", message.failures)
        .add("size", message.length);
    return json;
}

Exit show(const Context& context, const PendingOptions& options) {
    const Observation observation(context, options.name);
    // Messages before owners: who took one just now is then in the list of owners.
    const auto messages =
        shm::pending(observation.segment(), std::numeric_limits<std::size_t>::max());
    const auto owners = owners_in(observation.segment());
    const auto owner_of = [&](const shm::MessageView& message) {
        const auto found = owners.find(message.owner);
        return found == owners.end() ? Owner{} : found->second;
    };
    if (options.json) {
        Json all = Json::array();
        for (const auto& message : messages)
            all.push(to_json(message, owner_of(message)));
        print(all.text());
        return Exit::done;
    }
    using enum Table::Align;
    Table table{{"SEQUENCE", right}, {"PID", right},        {"UID", right},  {"STATE"},
                {"AGE", right},      {"DELIVERIES", right}, {"SIZE", right}, {"EXECUTABLE"}};
    for (const auto& message : messages) {
        const Owner owner = owner_of(message);
        const std::string& executable = owner.process.executable;
        table.add_row(
            {std::to_string(message.sequence), owner.pid == 0 ? "-" : std::to_string(owner.pid),
             owner.known ? std::to_string(owner.uid) : "-", std::string(1, owner.process.state),
             format_duration(age_of(message.timestamp)), std::to_string(message.deliveries),
             std::to_string(message.length), executable.empty() ? "-" : escape(executable)});
    }
    print(table.text());
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<PendingOptions>();
    command.name(options->name);
    command.json(options->json);
    return [options, &context] { return show(context, *options); };
}

}  // namespace

constinit const Verb pending_verb{"pending", "Show each unacked message and who holds it", example,
                                  prepare};

}  // namespace shmq::cli

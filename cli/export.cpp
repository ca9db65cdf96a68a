// shmq export [NAME...]: the definitions of queues as JSON; messages stay where they are.
// shmq import FILE|- [--dry-run]: makes the queues of such a file that are not there yet.
// Exit: 0 done, 1 a queue is there with other options, or what is read makes no sense.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/command.hpp"
#include "cli/definitions.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/queue_values.hpp"
#include "cli/text.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view export_example =
    "  shmq export > queues.json\n"
    "  shmq export jobs jobs.dlq | SHMQ_SOCKET=/run/other/socket shmq import -";
constexpr std::string_view import_example =
    "  shmq import queues.json --dry-run\n"
    "  shmq import queues.json";

Exit export_queues(const Context& context, const std::vector<std::string>& names) {
    Client client = context.connect();
    std::vector<QueueInfo> queues;
    if (names.empty()) queues = need(client.list());
    for (const std::string& name : names)
        queues.push_back(need(client.describe(name)));
    Json list = Json::array();
    for (const QueueInfo& queue : queues)
        list.push(to_json(QueueDefinition{queue.name, queue.options, queue.owner_uid}));
    Json json = Json::object();
    json.add("shmq", version()).add("queues", std::move(list));
    print(json.text());
    return Exit::done;
}

struct ImportOptions {
    std::string file;
    bool dry_run = false;
    bool json = false;
};

std::string read_all(const std::string& file) {
    if (file == "-") {
        return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
    }
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        throw Failure(Exit::failed,
                      fmt::format("import: {}: {}", escape(file), std::strerror(errno)));
    }
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

struct Plan {
    const QueueDefinition* definition = nullptr;
    bool present = false;
    std::string conflict;
};

// Looked at before anything is made: where one queue is in the way, none is.
std::vector<Plan> plan(Client& client, const std::vector<QueueDefinition>& definitions) {
    std::vector<Plan> plans;
    for (const QueueDefinition& definition : definitions) {
        Plan plan{&definition, false, {}};
        const auto queue = client.describe(definition.name);
        if (queue) {
            plan.present = true;
            plan.conflict = difference(queue->options, definition.options);
            if (plan.conflict.empty() &&
                definition.owner.value_or(queue->owner_uid) != queue->owner_uid) {
                plan.conflict = fmt::format("owner is {}, not {}", user_text(queue->owner_uid),
                                            user_text(*definition.owner));
            }
        } else if (queue.condition() != Condition::queue_not_found) {
            fail(queue.error(), "import");
        }
        plans.push_back(std::move(plan));
    }
    return plans;
}

void make_queue(Client& client, const QueueDefinition& definition) {
    const std::string place = "import: " + definition.name;
    need(client.declare(definition.name, definition.options), place);
    if (definition.owner.value_or(::geteuid()) == ::geteuid()) return;
    need(client.edit(definition.name, {.owner = definition.owner}),
         place + " is made, and yours for now");
}

Exit import_queues(const Context& context, const ImportOptions& options) {
    const std::vector<QueueDefinition> definitions = read_definitions(read_all(options.file));
    Client client = context.connect();
    const std::vector<Plan> plans = plan(client, definitions);
    const bool conflicts = std::any_of(plans.begin(), plans.end(),
                                       [](const Plan& each) { return !each.conflict.empty(); });
    Json all = Json::array();
    for (const Plan& each : plans) {
        const bool make = !each.present && !conflicts;
        if (make && !options.dry_run) {
            make_queue(client, *each.definition);
        }
        const std::string_view what = !each.conflict.empty() ? "conflict"
                                      : each.present         ? "there"
                                      : !make                ? "left out"
                                      : options.dry_run      ? "would be made"
                                                             : "made";
        if (options.json) {
            Json json = Json::object();
            json.add("name", each.definition->name).add("result", what);
            each.conflict.empty() ? json.add_null("conflict") : json.add("conflict", each.conflict);
            all.push(std::move(json));
        } else {
            print(fmt::format("{}: {}\n", each.definition->name, what));
        }
    }
    if (options.json) print(all.text());
    for (const Plan& each : plans) {
        if (each.conflict.empty()) continue;
        complain(fmt::format("import: queue '{}': {}", each.definition->name, each.conflict));
    }
    return conflicts ? Exit::failed : Exit::done;
}

Action prepare_export(Options& command, const Context& context) {
    auto names = std::make_shared<std::vector<std::string>>();
    auto json = std::make_shared<bool>(false);
    command.words("NAME", "Names of queues (default: all that you may see)", *names);
    command.flag("--json", "As it always is: JSON", *json);
    return [names, json, &context] {
        for (const std::string& name : *names) {
            if (const auto wrong = check_queue_name(name); !wrong.empty()) {
                throw Failure(Exit::usage, "export: " + wrong);
            }
        }
        return export_queues(context, *names);
    };
}

Action prepare_import(Options& command, const Context& context) {
    auto options = std::make_shared<ImportOptions>();
    command.required_text("FILE", "What export printed, or '-' for standard input", options->file);
    command.flag("--dry-run", "Only say what would be made", options->dry_run);
    command.json(options->json);
    return [options, &context] { return import_queues(context, *options); };
}

}  // namespace

constinit const Verb export_verb{"export", "Print the definitions of queues as JSON",
                                 export_example, prepare_export};
constinit const Verb import_verb{"import", "Make the queues that export printed", import_example,
                                 prepare_import};

}  // namespace shmq::cli

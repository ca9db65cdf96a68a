// shmq status [--json]: the daemon, if it runs; starts none.
// Exit: 0 it answers, 4 no daemon.
#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view example =
    "  shmq status\n"
    "  shmq status --json | jq .queues";

Exit show(const Context& context, bool json) {
    Client client = context.connect(false);
    const DaemonInfo daemon = need(client.status());
    if (json) {
        print(Json::object()
                  .add("pid", daemon.pid)
                  .add("version", daemon.version)
                  .add("socket", daemon.socket)
                  .add("queues", daemon.queues)
                  .add("sessions", daemon.sessions)
                  .add("uptime_ns", daemon.uptime.count())
                  .add("deaths", daemon.deaths)
                  .add("reclaimed", daemon.reclaimed)
                  .add("restarts", daemon.restarts)
                  .add("adopted", daemon.adopted)
                  .add("recovering", daemon.recovering)
                  .add("state_directory", daemon.state_directory)
                  .add("alarm", daemon.alarm)
                  .text());
        return Exit::done;
    }
    Fields fields;
    fields.add("pid", std::to_string(daemon.pid));
    fields.add("version", daemon.version);
    fields.add("socket", daemon.socket);
    fields.add("queues", format_count(daemon.queues));
    fields.add("sessions", format_count(daemon.sessions));
    fields.add("uptime", format_duration(daemon.uptime));
    fields.add("deaths", format_count(daemon.deaths));
    fields.add("messages reclaimed", format_count(daemon.reclaimed));
    fields.add("restarts", format_count(daemon.restarts));
    fields.add("queues taken over", format_count(daemon.adopted));
    if (daemon.recovering != 0) {
        fields.add("queues being recovered", format_count(daemon.recovering), true);
    }
    fields.add("state directory",
               daemon.state_directory.empty() ? "none" : escape(daemon.state_directory));
    if (!daemon.alarm.empty()) fields.add("alarm", escape(daemon.alarm), true);
    print(fields.text(coloured()));
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto json = std::make_shared<bool>(false);
    command.json(*json);
    command.watch();
    return [json, &context] { return show(context, *json); };
}

}  // namespace

constinit const Verb status_verb{"status", "Show the daemon (starts none)", example, prepare};

}  // namespace shmq::cli

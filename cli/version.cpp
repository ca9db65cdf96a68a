// shmq version [--json]: the versions of this program with its library, of the segments that it
// knows, and of the daemon if one answers; starts none. Exit: 0.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "shm/layout.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view example =
    "  shmq version\n"
    "  shmq version --json | jq -r .daemon";

Exit show(const Context& context, bool json) {
    ConnectOptions options;
    options.socket = context.socket;
    options.start_daemon = false;
    options.timeout = std::chrono::seconds(2);
    auto client = Client::connect(options);
    Result<DaemonInfo> daemon = client ? client->status() : Result<DaemonInfo>(client.error());
    if (json) {
        Json all = Json::object();
        all.add("shmq", version()).add("segment_format", shm::segment_version);
        daemon ? all.add("daemon", daemon->version) : all.add_null("daemon");
        print(all.text());
        return Exit::done;
    }
    print(fmt::format("shmq {}, segments of format {}\n", version(), shm::segment_version));
    print(daemon ? fmt::format("daemon {}, pid {}\n", daemon->version, daemon->pid)
                 : std::string("no daemon answers\n"));
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto json = std::make_shared<bool>(false);
    command.json(*json);
    return [json, &context] { return show(context, *json); };
}

}  // namespace

constinit const Verb version_verb{"version", "Print the versions, the daemon's too", example,
                                  prepare};

}  // namespace shmq::cli

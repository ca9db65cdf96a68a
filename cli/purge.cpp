// shmq purge NAME [--json]: drops every message that nobody holds, and says how many.
// Exit: 0 done, 1 no such queue or no right.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct PurgeOptions {
    std::string name;
    bool json = false;
};

constexpr std::string_view example = "  shmq purge jobs";

Exit purge(const Context& context, const PurgeOptions& options) {
    Client client = context.connect();
    const std::uint64_t purged = need(client.purge(options.name));
    if (options.json) {
        print(Json::object().add("name", options.name).add("purged", purged).text());
    } else {
        print(fmt::format("purged {} {}\n", format_count(purged),
                          purged == 1 ? "message" : "messages"));
    }
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<PurgeOptions>();
    command.name(options->name);
    command.json(options->json);
    return [options, &context] { return purge(context, *options); };
}

}  // namespace

constinit const Verb purge_verb{"purge", "Drop every message that nobody holds", example, prepare};

}  // namespace shmq::cli

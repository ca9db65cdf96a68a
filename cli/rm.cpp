// shmq rm NAME [--force]: removes a queue; its users get "queue removed".
// Exit: 0 removed, 1 no such queue, no right, or in use (without --force).
#include "cli/command.hpp"

namespace shmq::cli {
namespace {

struct RmOptions {
    std::string name;
    bool force = false;
};

constexpr std::string_view example =
    "  shmq rm jobs\n"
    "  shmq rm jobs --force";

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<RmOptions>();
    command.name(options->name);
    command.flag("-f,--force", "Even if it has messages or users", options->force);
    return [options, &context] {
        Client client = context.connect();
        need(client.remove(options->name, options->force));
        return Exit::done;
    };
}

}  // namespace

constinit const Verb rm_verb{"rm", "Remove a queue", example, prepare};

}  // namespace shmq::cli

// shmq pause NAME, shmq resume NAME [--produce|--consume]: holds up one side of a queue, or both,
// and lets it go on. It lasts until it is resumed, whoever restarts meanwhile.
// Exit: 0 done, or was so already, 1 no such queue, or no right.
#include "cli/command.hpp"

namespace shmq::cli {
namespace {

struct PauseOptions {
    std::string name;
    bool producers = false;
    bool consumers = false;
};

constexpr std::string_view pause_example =
    "  shmq pause jobs                    # nobody sends, nobody receives\n"
    "  shmq pause jobs --consume          # it fills up";
constexpr std::string_view resume_example =
    "  shmq resume jobs\n"
    "  shmq resume jobs --consume";

Side side_of(const PauseOptions& options) {
    if (options.producers == options.consumers) return Side::both;
    return options.producers ? Side::producers : Side::consumers;
}

std::shared_ptr<PauseOptions> take_options(Options& command) {
    auto options = std::make_shared<PauseOptions>();
    command.name(options->name);
    command.flag("--produce", "Those who send only", options->producers);
    command.flag("--consume", "Those who receive only; acks go on", options->consumers);
    return options;
}

Action prepare_pause(Options& command, const Context& context) {
    return [options = take_options(command), &context] {
        Client client = context.connect();
        need(client.pause(options->name, side_of(*options)));
        return Exit::done;
    };
}

Action prepare_resume(Options& command, const Context& context) {
    return [options = take_options(command), &context] {
        Client client = context.connect();
        need(client.resume(options->name, side_of(*options)));
        return Exit::done;
    };
}

}  // namespace

constinit const Verb pause_verb{"pause", "Hold up a queue, or one side of it", pause_example,
                                prepare_pause};
constinit const Verb resume_verb{"resume", "Let a paused queue go on", resume_example,
                                 prepare_resume};

}  // namespace shmq::cli

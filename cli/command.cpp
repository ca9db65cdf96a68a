#include "cli/command.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/command_line.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"

namespace shmq::cli {
namespace {

constexpr std::array<const Verb*, 18> all_verbs{
    &create_verb, &ls_verb,      &info_verb, &status_verb,  &rm_verb,    &purge_verb,
    &send_verb,   &recv_verb,    &peek_verb, &pending_verb, &ack_verb,   &nack_verb,
    &extend_verb, &release_verb, &dlq_verb,  &journal_verb, &chaos_verb, &version_verb};

}  // namespace

std::span<const Verb* const> verbs() {
    return all_verbs;
}

const Verb* find_verb(std::string_view name) {
    const auto found = std::find_if(all_verbs.begin(), all_verbs.end(),
                                    [&](const Verb* verb) { return verb->name == name; });
    return found == all_verbs.end() ? nullptr : *found;
}

Exit status_of(Condition condition) {
    switch (condition) {
        case Condition::nothing:
        case Condition::timed_out:
            return Exit::nothing;
        case Condition::invalid_argument:
            return Exit::usage;
        case Condition::no_daemon:
            return Exit::no_daemon;
        default:
            return Exit::failed;
    }
}

void fail(const Error& error, std::string_view doing) {
    const std::string message = escape(error.message());
    throw Failure(status_of(error.condition()),
                  doing.empty() ? message : fmt::format("{}: {}", doing, message));
}

Client Context::connect(bool start_daemon) const {
    ConnectOptions options;
    options.socket = socket;
    options.start_daemon = start_daemon;
    return need(Client::connect(options));
}

Exit run(std::span<const char* const> words) {
    try {
        Context context;
        return parse(words, context)();
    } catch (const Failure& failure) {
        complain(failure.what());
        return failure.status();
    } catch (const std::exception& error) {
        complain(error.what());
        return Exit::failed;
    }
}

}  // namespace shmq::cli

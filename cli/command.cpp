#include "cli/command.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/command_line.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"

namespace shmq::cli {
namespace {

struct Grouped {
    std::string_view group;
    const Verb* verb;
};

constexpr std::string_view queues = "Queues", messages = "Messages", repair = "Repair",
                           watching = "Watching", daemon = "The daemon and its files";

constexpr auto grouped_verbs = std::to_array<Grouped>({
    {queues, &create_verb},    {queues, &ls_verb},          {queues, &info_verb},
    {queues, &edit_verb},      {queues, &pause_verb},       {queues, &resume_verb},
    {queues, &rm_verb},        {queues, &purge_verb},       {queues, &export_verb},
    {queues, &import_verb},    {messages, &send_verb},      {messages, &recv_verb},
    {messages, &peek_verb},    {messages, &mv_verb},        {watching, &top_verb},
    {watching, &stats_verb},   {watching, &consumers_verb}, {watching, &pending_verb},
    {watching, &metrics_verb}, {watching, &events_verb},    {repair, &dlq_verb},
    {repair, &ack_verb},       {repair, &nack_verb},        {repair, &extend_verb},
    {repair, &release_verb},   {repair, &audit_verb},       {repair, &dump_verb},
    {daemon, &status_verb},    {daemon, &doctor_verb},      {daemon, &bench_verb},
    {daemon, &journal_verb},   {daemon, &chaos_verb},       {daemon, &version_verb},
});

constexpr auto all_verbs = [] {
    std::array<const Verb*, grouped_verbs.size()> verbs{};
    for (std::size_t i = 0; i < verbs.size(); ++i)
        verbs[i] = grouped_verbs[i].verb;
    return verbs;
}();

// `; did you mean 'jobs'?`, of the queue that the text names in quotes; or nothing.
std::string near_queue(const Context& context, std::string_view text) {
    const std::size_t from = text.find('\'') + 1;
    const std::size_t end = text.find('\'', from);
    if (from == 0 || end == std::string_view::npos) return {};
    try {
        std::vector<std::string> names;
        for (const QueueInfo& queue : need(context.connect(false).list()))
            names.push_back(queue.name);
        const std::vector<std::string_view> views(names.begin(), names.end());
        const std::string_view near = nearest(text.substr(from, end - from), views);
        return near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near);
    } catch (const Failure&) {
        return {};
    }
}

}  // namespace

std::string_view group_of(const Verb& verb) {
    const auto found = std::find_if(grouped_verbs.begin(), grouped_verbs.end(),
                                    [&](const Grouped& each) { return each.verb == &verb; });
    return found == grouped_verbs.end() ? std::string_view() : found->group;
}

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
    const std::string text = doing.empty() ? message : fmt::format("{}: {}", doing, message);
    if (error.condition() == Condition::queue_not_found) throw QueueMissing(Exit::failed, text);
    throw Failure(status_of(error.condition()), text);
}

Client Context::connect(bool start_daemon) const {
    ConnectOptions options;
    options.socket = socket;
    options.start_daemon = start_daemon;
    return need(Client::connect(options));
}

Exit run(std::span<const char* const> words) {
    Context context;
    try {
        return parse(words, context)();
    } catch (const QueueMissing& missing) {
        complain(missing.what() + near_queue(context, missing.what()));
        return missing.status();
    } catch (const Failure& failure) {
        complain(failure.what());
        return failure.status();
    } catch (const std::exception& error) {
        complain(error.what());
        return Exit::failed;
    }
}

}  // namespace shmq::cli

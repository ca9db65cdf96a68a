// shmq events [--queue NAME] [--json]: what happens, as it happens: deaths, what was taken back,
// leases that ran out, dead letters, backlogs that begin and end, alarms, who comes and goes.
// Exit: 1 no right, 4 the daemon went, or there is none. It ends by itself with -n alone.
#include <ctime>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

struct EventsOptions {
    std::string queue;
    std::optional<std::uint64_t> most;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq events\n"
    "  shmq events --queue jobs --json | jq -r 'select(.kind == \"process_died\").text'";

// HH:MM:SS.mmm, local time.
std::string time_text(std::uint64_t time_ns) {
    constexpr std::uint64_t second = 1'000'000'000;
    const auto seconds = static_cast<std::time_t>(time_ns / second);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    return fmt::format("{:02}:{:02}:{:02}.{:03}", local.tm_hour, local.tm_min, local.tm_sec,
                       time_ns % second / 1'000'000);
}

std::string line_of(const wire::Event& event) {
    std::string text;
    if (event.lost != 0)
        text = fmt::format("{} lost: too slow to read them\n", format_count(event.lost));
    return text + fmt::format("{}  {:<16} {}\n", time_text(event.time_ns), escape(event.kind),
                              escape(event.text));
}

std::string json_of(const wire::Event& event) {
    return Json::object()
        .add("time_ns", event.time_ns)
        .add("kind", event.kind)
        .add("queue", event.queue)
        .add("text", event.text)
        .add("pid", event.pid)
        .add("count", event.count)
        .add("lost", event.lost)
        .text();
}

Exit events(const Context& context, const EventsOptions& options) {
    Client client = context.connect(/*start_daemon=*/false);
    std::uint64_t left = options.most.value_or(UINT64_MAX);
    need(SessionAccess::of(client)->watch(options.queue, [&](const wire::Event& event) {
        print(options.json ? json_of(event) : line_of(event));
        return --left != 0;
    }));
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<EventsOptions>();
    command.text("--queue", "NAME", "Of that queue only", options->queue);
    command.count("-n", "N", "End after so many", options->most);
    command.json(options->json);
    return [options, &context] { return events(context, *options); };
}

}  // namespace

constinit const Verb events_verb{"events", "Show what happens, as it happens", example, prepare};

}  // namespace shmq::cli

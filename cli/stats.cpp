// shmq stats [NAME] [--interval DURATION] [--watch]: how fast queues move, and their totals.
// Exit: 0 shown, also if there is no queue; 1 no such queue or no right on it.
#include <map>
#include <thread>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/rates.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr auto interval_default = std::chrono::seconds(1);

using Queues = std::map<std::string, QueueInfo>;

struct Look {
    std::chrono::steady_clock::time_point at;
    Queues queues;
};

struct StatsOptions {
    std::string name;
    std::optional<std::chrono::nanoseconds> interval;
    bool json = false;
    std::optional<Look> before;  // of a --watch
};

constexpr std::string_view example =
    "  shmq stats\n"
    "  shmq stats jobs --watch\n"
    "  shmq stats --interval 10s --json | jq '.[] | {name, sent: .rates.sent}'";

Look look(const Context& context, const std::string& name) {
    Client client = context.connect();
    Look seen;
    if (!name.empty()) {
        seen.queues.emplace(name, need(client.describe(name)));
    } else {
        for (QueueInfo& queue : need(client.list()))
            seen.queues.emplace(queue.name, std::move(queue));
    }
    seen.at = std::chrono::steady_clock::now();
    return seen;
}

std::string rate_text(double rate) {
    return rate < 10 && rate > 0 ? fmt::format("{:.1f}/s", rate)
                                 : format_count(static_cast<std::uint64_t>(rate)) + "/s";
}

// Pairs of what a queue was and is; one that is new had nothing before.
template <typename Visit>
void for_each_pair(const Look& before, const Look& now, Visit visit) {
    const std::chrono::nanoseconds between = now.at - before.at;
    for (const auto& [name, queue] : now.queues) {
        const auto found = before.queues.find(name);
        visit(found == before.queues.end() ? queue : found->second, queue, between);
    }
}

std::string table_of(const Look& before, const Look& now) {
    using enum Table::Align;
    Table table{
        {"QUEUE"},          {"READY", right},      {"LEASED", right, 1},  {"SENT/s", right},
        {"ACKED/s", right}, {"BYTES/s", right, 4}, {"AGAIN/s", right, 3}, {"DROPPED", right, 2},
        {"SENT", right, 5}, {"ACKED", right, 6}};
    for_each_pair(before, now, [&](const QueueInfo& was, const QueueInfo& is, auto between) {
        const auto rate = [&](std::uint64_t QueueInfo::*value) {
            return rate_of(was.*value, is.*value, between);
        };
        table.add_row({is.name, format_count(is.ready), format_count(is.leased),
                       rate_text(rate(&QueueInfo::sent)), rate_text(rate(&QueueInfo::acked)),
                       format_size(static_cast<std::uint64_t>(rate(&QueueInfo::sent_bytes))) + "/s",
                       rate_text(rate(&QueueInfo::redelivered)), format_count(is.dropped),
                       format_count(is.sent), format_count(is.acked)},
                      is.quarantined || !is.alarm.empty());
    });
    return table.text(coloured());
}

std::string table_of_one(const Look& before, const Look& now) {
    using enum Table::Align;
    Table table{{"COUNTER"}, {"RATE", right}, {"TOTAL", right}};
    for_each_pair(before, now, [&](const QueueInfo& was, const QueueInfo& is, auto between) {
        for (const Counter& counter : counters) {
            const double rate = rate_of(was.*counter.value, is.*counter.value, between);
            const bool bytes = counter.name == "sent_bytes";
            table.add_row(
                {std::string(counter.name),
                 bytes ? format_size(static_cast<std::uint64_t>(rate)) + "/s" : rate_text(rate),
                 bytes ? format_size(is.*counter.value) : format_count(is.*counter.value)});
        }
    });
    return table.text(coloured());
}

std::string json_of(const Look& before, const Look& now) {
    Json all = Json::array();
    for_each_pair(before, now, [&](const QueueInfo& was, const QueueInfo& is, auto between) {
        Json rates = Json::object();
        Json totals = Json::object();
        for (const Counter& counter : counters) {
            rates.add(counter.name, static_cast<std::uint64_t>(
                                        rate_of(was.*counter.value, is.*counter.value, between)));
            totals.add(counter.name, is.*counter.value);
        }
        Json json = Json::object();
        json.add("name", is.name)
            .add("interval_ns", between.count())
            .add("ready", is.ready)
            .add("leased", is.leased)
            .add("returned", is.returned)
            .add("delayed", is.delayed)
            .add("held", is.held)
            .add("spilled", is.spilled)
            .add("rates", std::move(rates))
            .add("totals", std::move(totals));
        all.push(std::move(json));
    });
    return all.text();
}

Exit show(const Context& context, StatsOptions& options) {
    if (!options.before) {
        options.before = look(context, options.name);
        std::this_thread::sleep_for(options.interval.value_or(interval_default));
    }
    Look now = look(context, options.name);
    if (options.json) {
        print(json_of(*options.before, now));
    } else {
        print(options.name.empty() ? table_of(*options.before, now)
                                   : table_of_one(*options.before, now));
    }
    options.before = std::move(now);
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<StatsOptions>();
    command.optional_name(options->name, "Name of the queue, for all its counters (default: all)");
    command.duration("--interval", "How long to look before the first rates (default 1s)",
                     options->interval);
    command.json(options->json);
    command.watch();
    return [options, &context] { return show(context, *options); };
}

}  // namespace

constinit const Verb stats_verb{"stats", "Show rates and totals", example, prepare};

}  // namespace shmq::cli

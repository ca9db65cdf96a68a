// shmq chaos: kills and stops real producers, consumers, a daemon and its keeper at random for a
// while, and shows that nothing was lost. All of them are its own; other daemons are not touched.
// Exit: 0 the books are right, 1 something was lost or went wrong.
#include <unistd.h>

#include <cstdlib>
#include <random>

#include <fmt/format.h>

#include "cli/chaos/engine.hpp"
#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/units.hpp"
#include "client/daemon_start.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view example =
    "  shmq chaos                                  # ten seconds\n"
    "  shmq chaos --time 10m --producers 4 --consumers 4\n"
    "  shmq chaos --seed 42 --json | jq .lost";

constexpr std::uint64_t seed_most = UINT32_MAX;  // short enough to be written down

struct ChaosOptions {
    std::optional<std::uint64_t> producers;
    std::optional<std::uint64_t> consumers;
    std::optional<std::chrono::nanoseconds> time;
    std::optional<std::uint64_t> seed;
    bool spill = false;
    bool durable = false;
    bool spare_daemon = false;
    bool json = false;
};

chaos::Plan plan_of(const ChaosOptions& options) {
    chaos::Plan plan;
    plan.daemon_program = need(find_daemon_program());
    plan.options.capacity = 64;  // small, so that it is full and empty often
    plan.options.in_flight = 8;
    plan.options.lease = std::chrono::seconds(2);  // those who are stopped keep theirs no longer
    if (options.spill || options.durable) {
        plan.options.overflow = Overflow::spill;
        // So that its end is reached now and then.
        plan.options.spill_limit = std::uint64_t{8} << 20;
    }
    if (options.durable) plan.options.durability = Durability::durable;
    plan.producers = static_cast<std::uint32_t>(options.producers.value_or(3));
    plan.consumers = static_cast<std::uint32_t>(options.consumers.value_or(3));
    plan.time = std::chrono::duration_cast<std::chrono::milliseconds>(
        options.time.value_or(std::chrono::seconds(10)));
    plan.seed = options.seed ? *options.seed : std::random_device{}() % seed_most + 1;
    plan.daemon = !options.spare_daemon;
    return plan;
}

void print_text(const chaos::Plan& plan, const chaos::Outcome& outcome) {
    const chaos::Kills& kills = outcome.kills;
    print(fmt::format(
        "seed {}: {} kills ({} producers, {} consumers, {} daemons, {} keepers, both "
        "of these at once {} times), {} stops\n{}",
        plan.seed, format_count(kills.total()), format_count(kills.producers),
        format_count(kills.consumers), format_count(kills.daemons), format_count(kills.keepers),
        format_count(kills.both), format_count(kills.stops), outcome.text));
}

void print_json(const chaos::Plan& plan, const chaos::Outcome& outcome) {
    const chaos::Kills& kills = outcome.kills;
    const chaos::Totals& totals = outcome.totals;
    print(Json::object()
              .add("seed", plan.seed)
              .add("killed_producers", kills.producers)
              .add("killed_consumers", kills.consumers)
              .add("killed_daemons", kills.daemons)
              .add("killed_keepers", kills.keepers)
              .add("killed_both", kills.both)
              .add("stops", kills.stops)
              .add("sent", totals.sent)
              .add("confirmed", totals.confirmed)
              .add("delivered", totals.delivered)
              .add("acked", totals.acked)
              .add("duplicated", outcome.duplicated)
              .add("recovered", totals.recovered)
              .add("lost", totals.lost)
              .text());
}

Exit wreak(const ChaosOptions& options) {
    chaos::Plan plan = plan_of(options);
    const StopSignals stop;
    plan.stopped = [&stop] { return stop.stopped(); };
    const chaos::Outcome outcome = chaos::run(plan);
    if (options.json) {
        print_json(plan, outcome);
    } else {
        print_text(plan, outcome);
    }
    for (const std::string& problem : outcome.problems)
        complain(problem);
    return outcome.problems.empty() ? Exit::done : Exit::failed;
}

Action prepare(Options& command, const Context&) {
    auto options = std::make_shared<ChaosOptions>();
    const auto count = [&](const char* flag, const char* help, auto& target, std::uint64_t most) {
        command.value(flag, "N", help, [&target, most](const std::string& text) {
            const auto number = parse_size(text);
            if (!number) throw BadValue(number.error());
            if (*number == 0 || *number > most) {
                throw BadValue(fmt::format("'{}': a number from 1 to {}", text, most));
            }
            target = *number;
        });
    };
    count("--producers", "Processes that send (3)", options->producers, chaos::producers_most);
    count("--consumers", "Processes that receive (3)", options->consumers, 64);
    command.duration("--time", "How long to kill (10s)", options->time);
    count("--seed", "Makes the same random choices again", options->seed, seed_most);
    command.flag("--spill", "The queue overflows to disk", options->spill);
    command.flag("--durable", "The queue is durable", options->durable);
    command.flag("--spare-daemon", "Leave daemon and keeper alone", options->spare_daemon);
    command.json(options->json);
    return [options] { return wreak(*options); };
}

}  // namespace

constinit const Verb chaos_verb{"chaos", "Kill processes at random, and show that nothing is lost",
                                example, prepare};

}  // namespace shmq::cli

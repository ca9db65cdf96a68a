// shmq bench [NAME]: processes that send and receive, through a queue of the running daemon, and
// how fast they were. Without NAME through a queue of its own, removed afterwards. Exit: 0
// measured, 1 something failed, or messages are missing.
#include <algorithm>
#include <chrono>
#include <thread>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/bench.hpp"
#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/listing.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr std::uint64_t processes_most = 64;

struct BenchOptions {
    std::string name;
    std::optional<std::uint64_t> producers, consumers, size, rate, batch, capacity;
    std::optional<std::chrono::nanoseconds> time;
    std::optional<Durability> durability;
    bench::AckMode ack = bench::AckMode::each;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq bench\n"
    "  shmq bench --producers 4 --consumers 4 --size 1KiB --time 10s\n"
    "  shmq bench --rate 100000              # open loop: latency counts from when it was due\n"
    "  shmq bench orders --json | jq .latency.p99_ns";

bench::Plan plan_of(const Context& context, const BenchOptions& options) {
    bench::Plan plan;
    plan.socket = context.socket;
    plan.queue = options.name.empty() ? fmt::format("shmq-bench/{}", ::getpid()) : options.name;
    plan.producers = static_cast<std::uint32_t>(options.producers.value_or(1));
    plan.consumers = static_cast<std::uint32_t>(options.consumers.value_or(1));
    plan.size = static_cast<std::size_t>(options.size.value_or(64));
    plan.batch = static_cast<std::size_t>(options.batch.value_or(1));
    plan.rate = static_cast<double>(options.rate.value_or(0)) / plan.producers;
    plan.ack = options.ack;
    if (plan.size < bench::size_least) {
        throw Failure(
            Exit::usage,
            fmt::format("bench: --size: {} at least, for the time of sending", bench::size_least));
    }
    if (plan.ack == bench::AckMode::cumulative && plan.consumers != 1) {
        throw Failure(Exit::usage, "bench: --ack cumulative: with one, exclusive consumer only");
    }
    return plan;
}

// Its own queue, for as long as this lives.
class OwnQueue {
  public:
    OwnQueue(const Context& context, const BenchOptions& options, const bench::Plan& plan)
        : context_(context), plan_(plan), own_(options.name.empty()) {
        Client client = context.connect();
        if (!own_) {
            need(client.describe(plan.queue));
            return;
        }
        QueueOptions queue;
        queue.capacity = options.capacity.value_or(0);
        queue.max_message = std::max<std::uint64_t>(plan.size, 1024);
        queue.exact_timestamps = false;
        queue.durability = options.durability.value_or(Durability::accepted);
        queue.exclusive_consumer = plan.ack == bench::AckMode::cumulative;
        queue.dead_letter = "";
        need(client.create(plan.queue, queue));
    }
    ~OwnQueue() {
        if (!own_) return;
        try {
            Client client = context_.connect(false);
            static_cast<void>(client.remove(plan_.queue, true));
        } catch (const Failure&) {
            // No daemon, no queue.
        }
    }
    OwnQueue(const OwnQueue&) = delete;
    OwnQueue& operator=(const OwnQueue&) = delete;

  private:
    const Context& context_;
    const bench::Plan& plan_;
    bool own_;
};

pid_t start(const std::function<int()>& role) {
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) throw Failure(Exit::failed, "bench: a process could not be started");
    if (child > 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    ::_exit(role());
}

// Runs all roles; false if one of them failed.
bool run_roles(const bench::Plan& plan, bench::Board& board, std::chrono::nanoseconds time) {
    std::vector<pid_t> children;
    for (std::uint32_t i = 0; i < plan.consumers; ++i)
        children.push_back(start([&] { return bench::consume(plan, board, i); }));
    for (std::uint32_t i = 0; i < plan.producers; ++i)
        children.push_back(start([&] { return bench::produce(plan, board, i); }));
    const StopSignals stop;
    const auto begun = std::chrono::steady_clock::now();
    constexpr auto look = std::chrono::milliseconds(10);
    const auto patience = std::chrono::seconds(30);
    while (board.attached < plan.producers + plan.consumers && board.failed == 0 &&
           std::chrono::steady_clock::now() - begun < patience && stop.sleep(look)) {
    }
    board.started_at = std::chrono::steady_clock::now().time_since_epoch().count();
    board.go = true;
    if (board.failed == 0) stop.sleep(std::chrono::ceil<std::chrono::milliseconds>(time));
    board.stop_sending = true;
    bool good = true;
    for (const pid_t child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

void report(const bench::Plan& plan, const bench::Results& results, bool json) {
    constexpr std::array parts{std::pair("p50", 0.5), std::pair("p90", 0.9), std::pair("p99", 0.99),
                               std::pair("p99.9", 0.999), std::pair("max", 1.0)};
    if (json) {
        Json latency = Json::object();
        for (const auto& [name, part] : parts)
            latency.add(fmt::format("{}_ns", name), results.quantile(part).count());
        Json all = Json::object();
        all.add("queue", plan.queue)
            .add("producers", plan.producers)
            .add("consumers", plan.consumers)
            .add("size", plan.size)
            .add("loop", plan.rate > 0 ? "open" : "closed")
            .add("sent", results.sent)
            .add("received", results.received)
            .add("redelivered", results.redelivered)
            .add("nanoseconds", results.time.count())
            .add("messages_per_second", static_cast<std::uint64_t>(results.per_second()))
            .add("bytes_per_second",
                 static_cast<std::uint64_t>(results.per_second() * static_cast<double>(plan.size)))
            .add("latency", std::move(latency));
        print(all.text());
        return;
    }
    Fields fields;
    fields.add("messages", format_count(results.received));
    fields.add("time", format_duration(results.time));
    fields.add("rate", fmt::format("{}/s, {}/s",
                                   format_count(static_cast<std::uint64_t>(results.per_second())),
                                   format_size(static_cast<std::uint64_t>(
                                       results.per_second() * static_cast<double>(plan.size)))));
    std::string line;
    for (const auto& [name, part] : parts)
        line += fmt::format("{}{} {}", line.empty() ? "" : "  ", name,
                            format_duration(results.quantile(part)));
    fields.add(plan.rate > 0 ? "latency, from when it was due" : "latency, from send to receive",
               line);
    if (results.redelivered != 0) fields.add("redelivered", format_count(results.redelivered));
    print(fields.text(coloured()));
}

Exit measure(const Context& context, const BenchOptions& options) {
    const bench::Plan plan = plan_of(context, options);
    const OwnQueue queue(context, options, plan);
    bench::Board& board = bench::Board::create(plan);
    const bool good = run_roles(plan, board, options.time.value_or(std::chrono::seconds(5)));
    const bench::Results results = bench::results_of(plan, board);
    report(plan, results, options.json);
    if (!good || board.failed != 0) throw Failure(Exit::failed, "bench: a process failed");
    if (options.name.empty() && results.received < results.sent) {
        throw Failure(Exit::failed, fmt::format("bench: {} messages were sent, and {} received",
                                                results.sent, results.received));
    }
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<BenchOptions>();
    command.optional_name(options->name,
                          "A queue that is there, and yours to spoil (default: one of its own)");
    const auto processes = [&](const char* flag, const char* help, auto& target) {
        command.value(flag, "N", help, [&target](const std::string& text) {
            const auto number = parse_size(text);
            if (!number || *number == 0 || *number > processes_most) {
                throw BadValue(fmt::format("'{}': a number from 1 to {}", text, processes_most));
            }
            target = *number;
        });
    };
    processes("--producers", "Processes that send (default 1)", options->producers);
    processes("--consumers", "Processes that receive (default 1)", options->consumers);
    command.count("--size", "SIZE", "Bytes of a message (default 64)", options->size);
    command.duration("--time", "How long to send (default 5s)", options->time);
    command.count("--rate", "N",
                  "Open loop: so many messages a second, over all producers (default: closed loop, "
                  "as fast as they can)",
                  options->rate);
    command.count("--batch", "N", "So many messages with one call (default 1)", options->batch);
    command.value(
        "--ack", "each|batch|cumulative",
        "Each message by itself, as many as were received at once, or all up to the last, "
        "with one exclusive consumer (default each)",
        [options](const std::string& text) {
            static constexpr auto names =
                std::to_array<std::string_view>({"each", "batch", "cumulative"});
            options->ack = named<bench::AckMode>(text, names);
        });
    command.count("--capacity", "N", "Of its own queue, a power of two (default 1024)",
                  options->capacity);
    command.value("--durability", "accepted|logged|durable", "Of its own queue (default accepted)",
                  [options](const std::string& text) {
                      options->durability = named<Durability>(text, durability_names);
                  });
    command.json(options->json);
    return [options, &context] { return measure(context, *options); };
}

}  // namespace

constinit const Verb bench_verb{"bench", "Measure: processes that send and receive", example,
                                prepare};

}  // namespace shmq::cli

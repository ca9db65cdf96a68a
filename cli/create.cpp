// shmq create NAME [OPTION...]: makes a queue.
// Exit: 0 made (with --if-missing also: was there with the same options), 1 there already or
// refused, 2 an option out of bounds.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/listing.hpp"
#include "cli/queue_values.hpp"

namespace shmq::cli {
namespace {

struct CreateOptions {
    std::string name;
    QueueOptions queue;
    std::optional<std::chrono::nanoseconds> lease;
    std::optional<std::uint64_t> capacity, slot_size, in_flight;
    std::optional<Overflow> overflow;
    bool no_dead_letter = false;
    bool if_missing = false;
};

constexpr std::string_view example =
    "  shmq create jobs --capacity 65536 --lease 30s --overflow reject\n"
    "  shmq create events --overflow spill --spill-limit 20GiB\n"
    "  shmq create images --max-message 64MiB --pool 1GiB --mode 750 --group video";

void add_rights(Options& command, QueueOptions& queue) {
    command.value("--mode", "OCTAL",
                  "Rights of owner, group, others: 4 manage, 2 produce, 1 consume (default 700)",
                  [&queue](const std::string& text) { queue.mode = mode_number(text); });
    command.value("--group", "GROUP",
                  "Group that the middle digit of the mode speaks of (default: yours)",
                  [&queue](const std::string& text) { queue.group = group_number(text); });
}

void add_journal(Options& command, CreateOptions& options) {
    QueueOptions& queue = options.queue;
    command.size("--spill-limit", "SIZE",
                 "Disk space that the journal may take (default: as the disk allows)",
                 queue.spill_limit);
    command.value("--when-full", "block|reject",
                  "What send does when the disk has no room either (default block)",
                  [&queue](const std::string& text) {
                      queue.when_full = named<WhenFull>(text, when_full_names);
                  });
    command.value(
        "--durability", "accepted|logged|durable",
        "What each message survives in time: the death of any process; of all of them; or "
        "of the kernel, and a loss of power; but for accepted, overflow is spill "
        "(default accepted)",
        [&queue](const std::string& text) {
            queue.durability = named<Durability>(text, durability_names);
        });
}

void add_behaviour(Options& command, CreateOptions& options) {
    QueueOptions& queue = options.queue;
    command.value("--overflow", "block|reject|drop-oldest|spill",
                  "What send does when there is no room; spill: it puts it on disk (default block)",
                  [&options](const std::string& text) {
                      options.overflow = named<Overflow>(text, overflow_names);
                  });
    add_journal(command, options);
    command.flag("--exclusive-producer", "One producer at a time: faster",
                 queue.exclusive_producer);
    command.flag("--exclusive-consumer", "One consumer at a time: faster, and in order",
                 queue.exclusive_consumer);
    command.flag("--exact-timestamps",
                 "Time stamps exact to the nanosecond instead of the timer tick",
                 queue.exact_timestamps);
}

void add_failures(Options& command, CreateOptions& options) {
    QueueOptions& queue = options.queue;
    command.value(
        "--max-deliveries", "N|unlimited",
        "Failed deliveries before a message goes to the dead-letter queue (default 20)",
        [&queue](const std::string& text) { queue.max_deliveries = deliveries_number(text); });
    const auto named = command.value(
        "--dead-letter", "NAME",
        "Queue for messages that failed too often or were rejected (default NAME.dlq)",
        [&queue](const std::string& text) { queue.dead_letter = queue_name_of(text); });
    const auto none = command.flag("--no-dead-letter", "Drop such messages instead, and count them",
                                   options.no_dead_letter);
    Options::exclude(named, none);
    command.value(
        "--retry-delay", "FIRST[..MAX]",
        "Time before a message that was given back is offered again; doubled each time up "
        "to MAX (default none)",
        [&queue](const std::string& text) {
            const RetryDelay delay = retry_delay_of(text);
            queue.retry_delay = delay.first;
            if (delay.most) queue.retry_delay_max = *delay.most;
        });
    command.flag("--pause-stopped",
                 "No lease runs out while its holder is stopped (a signal, a debugger, a frozen "
                 "cgroup)",
                 queue.pause_stopped);
}

// A count that does not fit the option's type is certainly over its limit, which the library names:
// so it gets the largest value there is and not the rest of a division.
std::uint32_t narrow(std::uint64_t value) {
    return value > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(value);
}

Exit create(const Context& context, CreateOptions& options) {
    QueueOptions& queue = options.queue;
    queue.capacity = options.capacity.value_or(0);
    queue.slot_size = narrow(options.slot_size.value_or(0));
    queue.in_flight = narrow(options.in_flight.value_or(0));
    if (options.lease && options.lease->count() == 0) {
        // The library would take it for "the default".
        throw Failure(Exit::usage, "create: --lease: 0; a consumer needs some time");
    }
    // Said, though it is the default: the library could not tell it from unsaid.
    if (options.overflow == Overflow::block && queue.durability != Durability::accepted) {
        throw Failure(Exit::usage,
                      fmt::format("create: --overflow block with --durability {}: such a queue "
                                  "keeps its backlog in the journal; leave --overflow out, or say "
                                  "spill",
                                  name_of(durability_names, queue.durability)));
    }
    queue.overflow = options.overflow.value_or(Overflow::block);
    if (options.no_dead_letter) queue.dead_letter = "";
    queue.lease = options.lease.value_or(std::chrono::nanoseconds(0));
    Client client = context.connect();
    need(options.if_missing ? client.declare(options.name, queue)
                            : client.create(options.name, queue));
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<CreateOptions>();
    QueueOptions& queue = options->queue;
    command.name(options->name);
    command.count("--capacity", "N", "Messages it holds, a power of two (default 1024)",
                  options->capacity);
    command.count("--slot-size", "BYTES",
                  "64, 128, 256 or 512: messages up to 32 bytes less travel without a block of the "
                  "pool (default 64)",
                  options->slot_size);
    command.size("--max-message", "SIZE", "Largest message (default 1MiB)", queue.max_message);
    command.size(
        "--pool", "SIZE",
        "Memory for messages larger than a slot, at most (default 64MiB or four of the largest)",
        queue.pool);
    add_behaviour(command, *options);
    command.duration("--lease",
                     "How long a consumer may hold a message without renewing (default 30s)",
                     options->lease);
    command.count("--in-flight", "N", "Unacked messages a consumer may hold (default 64)",
                  options->in_flight);
    add_failures(command, *options);
    add_rights(command, queue);
    command.flag("--if-missing", "Fine if it is there with the same options", options->if_missing);
    return [options, &context] { return create(context, *options); };
}

}  // namespace

constinit const Verb create_verb{"create", "Make a queue", example, prepare};

}  // namespace shmq::cli

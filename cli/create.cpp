// shmq create NAME [OPTION...]: makes a queue.
// Exit: 0 made (with --if-missing also: was there with the same options), 1 there already or
// refused, 2 an option out of bounds.
#include <grp.h>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct CreateOptions {
    std::string name;
    QueueOptions queue;
    std::optional<std::chrono::nanoseconds> lease;
    std::optional<std::uint64_t> capacity, slot_size, in_flight;
    bool if_missing = false;
};

constexpr std::string_view example =
    "  shmq create jobs --capacity 65536 --lease 30s --overflow reject\n"
    "  shmq create images --max-message 64MiB --pool 1GiB --mode 750 --group video";

std::uint32_t group_number(const std::string& text) {
    if (const group* found = ::getgrnam(text.c_str())) return found->gr_gid;
    const bool number = !text.empty() && text.size() < 10 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    if (!number) {
        throw CLI::ValidationError(
            "--group", fmt::format("'{}': no such group; give a name of 'getent group' or a number",
                                   escape(text)));
    }
    return static_cast<std::uint32_t>(std::stoul(text));
}

void add_rights(CLI::App& app, QueueOptions& queue) {
    app.add_option_function<std::string>(
           "--mode",
           [&queue](const std::string& text) {
               const auto mode = parse_mode(text);
               if (!mode) {
                   throw CLI::ValidationError("--mode",
                                              fmt::format("'{}': {}", escape(text), mode.error()));
               }
               queue.mode = *mode;
           },
           "Rights of owner, group, others: 4 manage, 2 produce, 1 consume (default 700)")
        ->type_name("OCTAL");
    app.add_option_function<std::string>(
           "--group", [&queue](const std::string& text) { queue.group = group_number(text); },
           "Group that the middle digit of the mode speaks of (default: yours)")
        ->type_name("GROUP");
}

void add_behaviour(CLI::App& app, QueueOptions& queue) {
    app.add_option_function<std::string>(
           "--overflow",
           [&queue](const std::string& text) {
               if (text == "block") {
                   queue.overflow = Overflow::block;
               } else if (text == "reject") {
                   queue.overflow = Overflow::reject;
               } else if (text == "drop-oldest") {
                   queue.overflow = Overflow::drop_oldest;
               } else {
                   throw CLI::ValidationError(
                       "--overflow",
                       fmt::format("'{}'; it is block, reject or drop-oldest", escape(text)));
               }
           },
           "What send does when there is no room (default block)")
        ->type_name("block|reject|drop-oldest");
    app.add_flag("--exclusive-producer", queue.exclusive_producer,
                 "One producer at a time: faster");
    app.add_flag("--exclusive-consumer", queue.exclusive_consumer,
                 "One consumer at a time: faster, and in order");
    app.add_flag("--exact-timestamps", queue.exact_timestamps,
                 "Time stamps exact to the nanosecond instead of the timer tick");
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
    queue.lease = options.lease.value_or(std::chrono::nanoseconds(0));
    Client client = context.connect();
    need(options.if_missing ? client.declare(options.name, queue)
                            : client.create(options.name, queue));
    return Exit::done;
}

Action prepare(CLI::App& app, const Context& context) {
    auto options = std::make_shared<CreateOptions>();
    QueueOptions& queue = options->queue;
    add_name(app, options->name);
    add_count(app, "--capacity", options->capacity,
              "Messages it holds, a power of two (default 1024)")
        ->type_name("N");
    add_count(
        app, "--slot-size", options->slot_size,
        "64, 128, 256 or 512: messages up to 32 bytes less travel without a block of the pool "
        "(default 64)")
        ->type_name("BYTES");
    add_size(app, "--max-message", queue.max_message, "Largest message (default 1MiB)");
    add_size(
        app, "--pool", queue.pool,
        "Memory for messages larger than a slot, at most (default 64MiB or four of the largest)");
    add_behaviour(app, queue);
    add_duration(app, "--lease", options->lease,
                 "How long a consumer may hold a message without renewing (default 30s)")
        ->check([](const std::string& text) {
            const auto lease = parse_duration(text);
            return lease && lease->count() == 0 ? "0; a consumer needs some time" : std::string();
        });
    add_count(app, "--in-flight", options->in_flight,
              "Unacked messages a consumer may hold (default 64)")
        ->type_name("N");
    add_rights(app, queue);
    app.add_flag("--if-missing", options->if_missing, "Fine if it is there with the same options");
    return [options, &context] { return create(context, *options); };
}

}  // namespace

constinit const Verb create_verb{"create", "Make a queue", example, prepare};

}  // namespace shmq::cli

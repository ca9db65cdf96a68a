// shmq edit NAME OPTION...: changes a queue while it is in use; all that is said, or nothing.
// Exit: 0 changed, or was so already, 1 no such queue, or no right, 2 out of bounds, or cannot
// change while the queue exists.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/listing.hpp"
#include "cli/queue_values.hpp"
#include "cli/text.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

struct EditOptions {
    std::string name;
    wire::Options wanted;
    std::optional<std::uint32_t> owner;
    std::vector<std::string> clear;
    std::optional<std::chrono::nanoseconds> lease;
    std::optional<std::uint64_t> in_flight, capacity, slot_size;
    bool no_dead_letter = false;
};

constexpr std::string_view example =
    "  shmq edit jobs --lease 2m --max-deliveries 5\n"
    "  shmq edit jobs --mode 750 --group video\n"
    "  shmq edit events --spill-limit 50GiB --when-full reject";

template <typename To, typename From>
To as(From value) {
    return static_cast<To>(value);
}

void add_failures(Options& command, EditOptions& options) {
    wire::Options& wanted = options.wanted;
    command.duration("--lease", "How long a consumer may hold a message without renewing",
                     options.lease);
    command.value(
        "--max-deliveries", "N|unlimited",
        "Failed deliveries before a message goes to the dead-letter queue",
        [&wanted](const std::string& text) { wanted.max_deliveries = deliveries_number(text); });
    const auto named = command.value(
        "--dead-letter", "NAME", "Queue for messages that failed too often or were rejected",
        [&wanted](const std::string& text) { wanted.dead_letter = queue_name_of(text); });
    const auto none = command.flag("--no-dead-letter", "Drop such messages instead, and count them",
                                   options.no_dead_letter);
    Options::exclude(named, none);
    command.value("--retry-delay", "FIRST[..MAX]|none",
                  "Time before a message that was given back is offered again",
                  [&options](const std::string& text) {
                      if (text == "none") return options.clear.emplace_back("retry_delay"), void();
                      const RetryDelay delay = retry_delay_of(text);
                      options.wanted.retry_delay_ns = as<std::uint64_t>(delay.first.count());
                      if (delay.first.count() == 0) options.clear.emplace_back("retry_delay");
                      if (delay.most) {
                          options.wanted.retry_delay_max_ns =
                              as<std::uint64_t>(delay.most->count());
                      }
                  });
    command.value("--pause-stopped", "yes|no", "Whether leases last while their holder is stopped",
                  [&wanted](const std::string& text) { wanted.pause_stopped = yes_or_no(text); });
    command.count("--in-flight", "N", "Unacked messages a consumer may hold", options.in_flight);
}

void add_rights(Options& command, EditOptions& options) {
    wire::Options& wanted = options.wanted;
    command.value("--mode", "OCTAL",
                  "Rights of owner, group, others: 4 manage, 2 produce, 1 consume; who is attached "
                  "stays so",
                  [&wanted](const std::string& text) { wanted.mode = mode_number(text); });
    command.value("--group", "GROUP", "Group that the middle digit of the mode speaks of",
                  [&wanted](const std::string& text) { wanted.group = group_number(text); });
    command.value("--owner", "USER", "Whose it is; for root, and whom the daemon runs as",
                  [&options](const std::string& text) { options.owner = user_number(text); });
}

void add_room(Options& command, EditOptions& options) {
    wire::Options& wanted = options.wanted;
    command.value("--overflow", "block|reject", "What send does when there is no room",
                  [&wanted](const std::string& text) {
                      wanted.overflow = as<wire::Overflow>(named<Overflow>(text, overflow_names));
                  });
    command.value("--spill-limit", "SIZE|none", "Disk space that the journal may take",
                  [&options](const std::string& text) {
                      if (text == "none") return options.clear.emplace_back("spill_limit"), void();
                      options.wanted.spill_limit = size_number(text);
                  });
    command.value("--when-full", "block|reject", "What send does when the disk has no room either",
                  [&wanted](const std::string& text) {
                      wanted.when_full = as<wire::WhenFull>(named<WhenFull>(text, when_full_names));
                  });
}

// Taken, so that the daemon can say why not and what to do instead.
void add_what_cannot_change(Options& command, EditOptions& options) {
    wire::Options& wanted = options.wanted;
    constexpr const char* why = "Cannot change while the queue exists: says why";
    command.count("--capacity", "N", why, options.capacity);
    command.count("--slot-size", "BYTES", why, options.slot_size);
    command.size("--max-message", "SIZE", why, wanted.max_message);
    command.size("--pool", "SIZE", why, wanted.pool);
    command.value("--durability", "LEVEL", why, [&wanted](const std::string& text) {
        wanted.durability = as<wire::Durability>(named<Durability>(text, durability_names));
    });
    command.value("--exclusive-producer", "yes|no", why, [&wanted](const std::string& text) {
        wanted.exclusive_producer = yes_or_no(text);
    });
    command.value("--exclusive-consumer", "yes|no", why, [&wanted](const std::string& text) {
        wanted.exclusive_consumer = yes_or_no(text);
    });
    command.value("--exact-timestamps", "yes|no", why, [&wanted](const std::string& text) {
        wanted.exact_timestamps = yes_or_no(text);
    });
}

Exit edit(const Context& context, EditOptions& options) {
    wire::Options& wanted = options.wanted;
    if (options.lease && options.lease->count() == 0)
        throw Failure(Exit::usage, "edit: --lease: 0; a consumer needs some time");
    const auto narrow = [](std::optional<std::uint64_t> value) {
        return as<std::uint32_t>(std::min<std::uint64_t>(value.value_or(0), UINT32_MAX));
    };
    wanted.lease_ns =
        as<std::uint64_t>(options.lease.value_or(std::chrono::nanoseconds(0)).count());
    wanted.capacity = options.capacity.value_or(0);
    wanted.slot_size = narrow(options.slot_size);
    wanted.in_flight = narrow(options.in_flight);
    if (options.no_dead_letter) wanted.dead_letter = "";
    if (wanted == wire::Options{} && !options.owner && options.clear.empty())
        throw Failure(Exit::usage, "edit: nothing to change; see 'shmq edit --help'");
    Client client = context.connect();
    need(SessionAccess::of(client)->edit(options.name, wanted, options.owner, options.clear));
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<EditOptions>();
    command.name(options->name);
    add_failures(command, *options);
    add_rights(command, *options);
    add_room(command, *options);
    add_what_cannot_change(command, *options);
    return [options, &context] { return edit(context, *options); };
}

}  // namespace

constinit const Verb edit_verb{"edit", "Change a queue while it is in use", example, prepare};

}  // namespace shmq::cli

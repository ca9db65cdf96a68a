#include "daemon/queue_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "shm/geometry.hpp"

namespace shmq::daemon {
namespace {

constexpr std::uint32_t mode_max = 0777;

bool promises_more(const wire::Options& options) {
    return options.durability.value_or(wire::Durability::accepted) != wire::Durability::accepted;
}

// Where dead letters go unless somebody says otherwise. A dead-letter queue has none itself. Long
// names are cut, so that it still is a name; two of them may share one, each letter says whose it
// is.
std::string default_dead_letter(const std::string& name) {
    const std::string_view suffix = limits::dead_letter_suffix;
    if (name.ends_with(suffix)) return {};
    return name.substr(0, limits::name_max_bytes - suffix.size()).append(suffix);
}

std::optional<wire::Failure> check_policy_options(const std::string& name,
                                                  const wire::Options& options) {
    const std::string target = options.dead_letter.value_or(default_dead_letter(name));
    if (!target.empty()) {
        if (const std::string reason = wire::check_name(target); !reason.empty()) {
            return wire::invalid_parameter("options.dead_letter", reason);
        }
        if (target == name) {
            return wire::invalid_parameter("options.dead_letter",
                                           "a queue cannot be its own dead-letter queue");
        }
    }
    if (options.retry_delay_ns == 0 && options.retry_delay_max_ns != 0) {
        return wire::invalid_parameter("options.retry_delay_max", "needs a retry_delay");
    }
    if (options.retry_delay_max_ns != 0 && options.retry_delay_max_ns < options.retry_delay_ns) {
        return wire::invalid_parameter("options.retry_delay_max", "is less than retry_delay");
    }
    const std::string complaint = shm::check_policy(policy_of(name, options));
    if (!complaint.empty()) {
        return wire::invalid_parameter("options." + complaint.substr(0, complaint.find(' ')),
                                       complaint);
    }
    return {};
}

std::optional<wire::Failure> check_journal_options(const wire::Options& options) {
    const wire::Overflow overflow = options.overflow.value_or(wire::Overflow::block);
    if (promises_more(options) && overflow != wire::Overflow::spill) {
        return wire::invalid_parameter(
            "options.overflow",
            fmt::format("{} and durability {} exclude each other: such a queue keeps its backlog "
                        "in the journal; say spill, or nothing",
                        wire::overflow_token(overflow),
                        wire::durability_token(*options.durability)));
    }
    constexpr std::string_view needs_journal =
        "is for queues with a journal: overflow spill, or durability logged or durable";
    if (!options.journal() && options.spill_limit != 0) {
        return wire::invalid_parameter("options.spill_limit", needs_journal);
    }
    if (!options.journal() && options.when_full) {
        return wire::invalid_parameter("options.when_full", needs_journal);
    }
    const std::uint64_t largest =
        options.max_message != 0 ? options.max_message : limits::message_default_max_bytes;
    const std::uint64_t least = std::max(limits::spill_limit_min_bytes, 2 * largest);
    if (options.spill_limit != 0 && options.spill_limit < least) {
        return wire::invalid_parameter(
            "options.spill_limit",
            fmt::format("{} is too little: {} bytes at least for this max_message",
                        options.spill_limit, least));
    }
    return {};
}

// The option that a complaint of check_shape begins with, as callers name it.
std::string parameter_of(const std::string& complaint) {
    std::string word = complaint.substr(0, complaint.find(' '));
    for (const std::string_view suffix : {"_bytes", "_ns"}) {
        if (word.ends_with(suffix)) word.resize(word.size() - suffix.size());
    }
    for (const std::string_view known : {"capacity", "slot_size", "max_message", "pool", "overflow",
                                         "lease", "exclusive_consumer", "exclusive_producer"}) {
        if (word == known) return "options." + word;
    }
    return "options";
}

std::optional<wire::Failure> check_options(const Caller& caller, const wire::Options& options) {
    if (options.mode.value_or(0) > mode_max) {
        return wire::invalid_parameter(
            "options.mode", fmt::format("{:#o} has more than three octal digits", *options.mode));
    }
    if (options.in_flight > limits::in_flight_max) {
        return wire::invalid_parameter(
            "options.in_flight",
            fmt::format("{} is more than {}", options.in_flight, limits::in_flight_max));
    }
    // As with files: else anybody could open a queue's group rights to a group of strangers.
    if (options.group && !caller.may_all() && !caller.in_group(*options.group)) {
        return wire::invalid_parameter(
            "options.group", fmt::format("uid {} is not in group {}", caller.uid, *options.group));
    }
    if (const std::string complaint = shm::check_shape(shape_of(options)); !complaint.empty()) {
        return wire::invalid_parameter(parameter_of(complaint), complaint);
    }
    return {};
}

}  // namespace

// Its backlog lies in the journal anyway.
wire::Options with_implied(wire::Options options) {
    if (promises_more(options) && !options.overflow) options.overflow = wire::Overflow::spill;
    return options;
}

// What the memory of such a queue does not say.
wire::Options beside_memory(const wire::Options& options) {
    wire::Options beside;
    beside.in_flight = options.in_flight;
    beside.spill_limit = options.spill_limit;
    beside.durability = options.durability;
    return beside;
}

// A shape as the options ask; what they leave open has its default.
shm::Shape shape_of(const wire::Options& options) {
    shm::Shape shape{};
    shape.capacity = options.capacity;
    shape.max_message = options.max_message;
    shape.pool_bytes = options.pool;
    shape.lease_ns = options.lease_ns;
    shape.slot_size = options.slot_size;
    shape.overflow = static_cast<std::uint32_t>(options.overflow.value_or(wire::Overflow::block));
    if (options.exclusive_producer.value_or(false)) shape.flags |= shm::exclusive_producer;
    if (options.exclusive_consumer.value_or(false)) shape.flags |= shm::exclusive_consumer;
    if (options.exact_timestamps.value_or(false)) shape.flags |= shm::exact_timestamps;
    if (options.journal()) shape.flags |= shm::journal_present;
    if (options.when_full == wire::WhenFull::reject) shape.flags |= shm::when_full_reject;
    if (promises_more(options)) shape.flags |= shm::durable_log;
    if (options.durability == wire::Durability::logged) shape.flags |= shm::unsynced_log;
    return shm::with_defaults(shape);
}

shm::Policy policy_of(const std::string& name, const wire::Options& options) {
    shm::Policy policy{};
    const std::string target = options.dead_letter.value_or(default_dead_letter(name));
    const std::uint32_t most =
        name.ends_with(limits::dead_letter_suffix) ? 0 : limits::max_deliveries_default;
    policy.max_deliveries = options.max_deliveries.value_or(most);
    policy.retry_first_ns = options.retry_delay_ns;
    policy.retry_max_ns = std::max(options.retry_delay_ns, options.retry_delay_max_ns);
    if (options.pause_stopped.value_or(false)) policy.flags |= shm::pause_stopped;
    target.copy(policy.dead_letter, sizeof policy.dead_letter - 1);
    return policy;
}

std::optional<wire::Failure> check_queue_options(const Caller& caller, const std::string& name,
                                                 const wire::Options& options) {
    if (auto failure = check_journal_options(options)) return failure;
    if (auto failure = check_options(caller, options)) return failure;
    return check_policy_options(name, options);
}

}  // namespace shmq::daemon

#include "client/answers.hpp"

#include <array>
#include <cstdio>

namespace shmq {
namespace {

template <typename Ours, typename Theirs>
constexpr bool same(Ours ours, Theirs theirs) {
    return static_cast<int>(ours) == static_cast<int>(theirs);
}
static_assert(same(Overflow::block, wire::Overflow::block));
static_assert(same(Overflow::reject, wire::Overflow::reject));
static_assert(same(Overflow::drop_oldest, wire::Overflow::drop_oldest));
static_assert(same(Overflow::spill, wire::Overflow::spill));
static_assert(same(WhenFull::block, wire::WhenFull::block));
static_assert(same(WhenFull::reject, wire::WhenFull::reject));
static_assert(same(Durability::accepted, wire::Durability::accepted));
static_assert(same(Durability::logged, wire::Durability::logged));
static_assert(same(Durability::durable, wire::Durability::durable));
static_assert(same(GateState::none, wire::GateState::none));
static_assert(same(GateState::direct, wire::GateState::direct));
static_assert(same(GateState::journal, wire::GateState::journal));
static_assert(same(GateState::closing, wire::GateState::closing));
static_assert(same(JournalState::none, wire::JournalState::none));
static_assert(same(JournalState::ok, wire::JournalState::ok));
static_assert(same(JournalState::no_room, wire::JournalState::no_room));
static_assert(same(JournalState::failed, wire::JournalState::failed));
static_assert(same(JournalState::recovering, wire::JournalState::recovering));

// The parameters of an error, as text whatever they are: an error of an odd daemon is still shown.
class Details {
  public:
    explicit Details(const wire::Json& parameters) : parameters_(parameters) {}

    std::string text(const char* name) const {
        const wire::Json* member = find(name);
        if (member == nullptr) return "?";
        if (member->is_string()) return member->get<std::string>();
        return member->dump(-1, ' ', false, wire::Json::error_handler_t::replace);
    }
    std::string octal(const char* name) const {
        std::array<char, 16> digits{};
        std::snprintf(digits.data(), digits.size(), "%04o", static_cast<unsigned>(number(name)));
        return digits.data();
    }
    std::int64_t number(const char* name) const {
        const wire::Json* member = find(name);
        return member != nullptr && member->is_number_integer() ? member->get<std::int64_t>() : 0;
    }

  private:
    const wire::Json* find(const char* name) const {
        if (!parameters_.is_object()) return nullptr;
        const auto found = parameters_.find(name);
        return found == parameters_.end() ? nullptr : &*found;
    }

    const wire::Json& parameters_;
};

std::string quoted(std::string_view name) {
    return "'" + std::string(name) + "'";
}

Error queue_exists(const Details& details, const std::string& queue) {
    if (details.text("field").empty()) {
        return {Condition::queue_exists,
                "queue " + queue + " exists already; declare it instead, or remove it first"};
    }
    return {Condition::queue_exists, "queue " + queue + " exists with " + details.text("field") +
                                         " " + details.text("present") + ", not " +
                                         details.text("wanted") +
                                         "; leave that option out to take the queue as it is, or "
                                         "remove it first"};
}

Error permission_denied(const Details& details, const std::string& queue) {
    return {Condition::permission_denied,
            "uid " + details.text("uid") + " may not " + details.text("right") + " on queue " +
                queue + " (owner " + details.text("owner") + ", group " + details.text("group") +
                ", mode " + details.octal("mode") +
                "); its owner decides that with the queue's mode and group"};
}

Error role_taken(const Details& details, const std::string& queue) {
    return {Condition::role_taken, "process " + details.text("pid") + " is the exclusive " +
                                       details.text("role") + " of queue " + queue +
                                       "; the role is free again when it has detached or ended"};
}

Error quota_exceeded(const Details& details) {
    return {Condition::quota_exceeded,
            "uid " + details.text("uid") + " has used " + details.text("used") + " of its " +
                details.text("limit") + " " + details.text("resource") +
                "; remove what is not needed, or have the daemon's limit raised"};
}

Error version_mismatch(const Details& details, const Asked& asked) {
    return {Condition::incompatible,
            "the daemon on " + std::string(asked.socket) + " has version " +
                details.text("daemon") + ", this library " + details.text("client") +
                "; use the same version for both, and start the daemon anew after an upgrade"};
}

QueueOptions options_from_wire(const wire::Options& from) {
    QueueOptions options;
    options.max_message = from.max_message;
    options.overflow = static_cast<Overflow>(from.overflow.value_or(wire::Overflow::block));
    options.spill_limit = from.spill_limit;
    options.when_full = static_cast<WhenFull>(from.when_full.value_or(wire::WhenFull::block));
    options.durability =
        static_cast<Durability>(from.durability.value_or(wire::Durability::accepted));
    options.lease = std::chrono::nanoseconds(static_cast<std::int64_t>(from.lease_ns));
    options.exclusive_producer = from.exclusive_producer.value_or(false);
    options.exclusive_consumer = from.exclusive_consumer.value_or(false);
    options.exact_timestamps = from.exact_timestamps.value_or(false);
    options.max_deliveries = from.max_deliveries;
    options.dead_letter = from.dead_letter;
    options.retry_delay = std::chrono::nanoseconds(static_cast<std::int64_t>(from.retry_delay_ns));
    options.retry_delay_max =
        std::chrono::nanoseconds(static_cast<std::int64_t>(from.retry_delay_max_ns));
    options.pause_stopped = from.pause_stopped.value_or(false);
    options.mode = from.mode.value_or(options.mode);
    options.group = from.group;
    options.capacity = from.capacity;
    options.slot_size = from.slot_size;
    options.pool = from.pool;
    options.in_flight = from.in_flight;
    return options;
}

}  // namespace

Result<wire::Options> options_to_wire(const QueueOptions& options) {
    if (options.lease.count() < 0) {
        return Error(Condition::invalid_argument,
                     "lease is " + std::to_string(options.lease.count()) +
                         " ns; it must be 10 ms to 7 days, or 0 for the default");
    }
    if (options.retry_delay.count() < 0 || options.retry_delay_max.count() < 0) {
        return Error(Condition::invalid_argument, "retry_delay is negative; it is 0 to 30 days");
    }
    const QueueOptions defaults;
    wire::Options out;
    out.capacity = options.capacity;
    out.slot_size = options.slot_size;
    out.max_message = options.max_message;
    out.pool = options.pool;
    if (options.overflow != defaults.overflow) {
        out.overflow = static_cast<wire::Overflow>(options.overflow);
    }
    out.spill_limit = options.spill_limit;
    if (options.when_full != defaults.when_full) {
        out.when_full = static_cast<wire::WhenFull>(options.when_full);
    }
    if (options.durability != defaults.durability) {
        out.durability = static_cast<wire::Durability>(options.durability);
    }
    out.lease_ns = static_cast<std::uint64_t>(options.lease.count());
    out.in_flight = options.in_flight;
    if (options.mode != defaults.mode) out.mode = options.mode;
    out.group = options.group;
    if (options.exclusive_producer) out.exclusive_producer = true;
    if (options.exclusive_consumer) out.exclusive_consumer = true;
    if (options.exact_timestamps) out.exact_timestamps = true;
    out.max_deliveries = options.max_deliveries;
    out.dead_letter = options.dead_letter;
    out.retry_delay_ns = static_cast<std::uint64_t>(options.retry_delay.count());
    out.retry_delay_max_ns = static_cast<std::uint64_t>(options.retry_delay_max.count());
    if (options.pause_stopped) out.pause_stopped = true;
    return out;
}

QueueInfo info_from_wire(const wire::Queue& queue) {
    QueueInfo info;
    info.name = queue.name;
    info.options = options_from_wire(queue.options);
    info.options.group = queue.options.group.value_or(queue.group);
    info.owner_uid = queue.owner;
    info.group_gid = queue.group;
    info.quarantined = queue.quarantined;
    info.producers_paused = queue.paused_producers;
    info.consumers_paused = queue.paused_consumers;
    info.ready = queue.ready;
    info.leased = queue.leased;
    info.returned = queue.returned;
    info.delayed = queue.delayed;
    info.held = queue.held;
    info.alarm = queue.alarm;
    info.gate = static_cast<GateState>(queue.gate);
    info.journal = static_cast<JournalState>(queue.journal);
    info.spilled = queue.spilled;
    info.spilled_bytes = queue.spilled_bytes;
    info.journal_bytes = queue.journal_bytes;
    info.syncs = queue.syncs;
    info.logged = queue.logged;
    info.durable = queue.durable;
    info.recovery_bytes = queue.recovery_bytes;
    info.recovered_bytes = queue.recovered_bytes;
    info.sent = queue.sent;
    info.sent_bytes = queue.sent_bytes;
    info.delivered = queue.delivered;
    info.acked = queue.acked;
    info.redelivered = queue.redelivered;
    info.dropped = queue.dropped;
    info.dropped_oldest = queue.dropped_oldest;
    info.dropped_rejected = queue.dropped_rejected;
    info.dropped_damaged = queue.dropped_damaged;
    info.dropped_failed = queue.dropped_failed;
    info.purged = queue.purged;
    info.expired = queue.expired;
    info.reclaimed = queue.reclaimed;
    info.dead_rejected = queue.dead_rejected;
    info.dead_expired = queue.dead_expired;
    info.dead_crashed = queue.dead_crashed;
    info.dead_limit = queue.dead_limit;
    info.dead_lettered =
        queue.dead_rejected + queue.dead_expired + queue.dead_crashed + queue.dead_limit;
    info.moved_in = queue.moved_in;
    info.redriven = queue.redriven;
    info.producers = queue.producers;
    info.consumers = queue.consumers;
    info.memory_bytes = queue.memory_bytes;
    return info;
}

Error error_from_wire(const wire::Answer& answer, const Asked& asked) {
    namespace error = wire::error;
    const Details details(answer.parameters);
    const std::string& name = answer.error;
    const std::string queue = quoted(asked.queue);
    if (name == error::queue_not_found) {
        return {Condition::queue_not_found,
                "there is no queue " + queue + "; create it (`shmq create " +
                    std::string(asked.queue) + "`), or look with `shmq ls` for its right name"};
    }
    if (name == error::queue_exists) return queue_exists(details, queue);
    if (name == error::queue_in_use) {
        return {Condition::queue_in_use,
                "queue " + queue + " has " + details.text("messages") + " messages and " +
                    details.text("participants") +
                    " users; remove it with force to drop the messages and end its users"};
    }
    if (name == error::permission_denied) return permission_denied(details, queue);
    if (name == error::role_taken) return role_taken(details, queue);
    if (name == error::invalid_name) {
        return {Condition::invalid_argument, "queue name " + queue + ": " + details.text("reason")};
    }
    if (name == error::invalid_parameter) {
        const std::string about = asked.queue.empty() ? "" : "queue " + queue + ": ";
        return {Condition::invalid_argument,
                about + details.text("parameter") + ": " + details.text("reason")};
    }
    if (name == error::quota_exceeded) return quota_exceeded(details);
    if (name == error::version_mismatch) return version_mismatch(details, asked);
    if (name == error::quarantined) {
        return {Condition::quarantined,
                "queue " + queue + " was found damaged and is out of service: " +
                    details.text("reason") + "; remove it with force, and create it anew"};
    }
    if (name == error::system_error) {
        return {Condition::system_error,
                "the daemon on " + std::string(asked.socket) + " could not " +
                    details.text("operation") + ": " + details.text("reason"),
                static_cast<int>(details.number("errno"))};
    }
    return bad_answer(asked, "it answers " + name);
}

Error bad_answer(const Asked& asked, std::string_view problem) {
    std::string text = "the daemon on ";
    text.append(asked.socket).append(" did not understand us or we it, in ").append(asked.method);
    if (!asked.queue.empty()) text.append(" of queue ").append(quoted(asked.queue));
    text.append(": ").append(problem);
    text.append("; check that daemon and library have the same version");
    return {Condition::protocol_error, std::move(text)};
}

Error bad_answer(const Asked& asked, const wire::Failure& failure) {
    const Details details(failure.parameters);
    return bad_answer(asked,
                      "answer's " + details.text("parameter") + " " + details.text("reason"));
}

}  // namespace shmq

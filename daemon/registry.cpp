#include "daemon/registry.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/check.hpp"
#include "daemon/keeper/inherited.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

constexpr std::uint32_t mode_default = 0700;
constexpr std::uint32_t mode_max = 0777;

bool promises_more(const wire::Options& options) {
    return options.durability.value_or(wire::Durability::accepted) != wire::Durability::accepted;
}

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
    return shm::with_defaults(shape);
}

// Where dead letters go unless somebody says otherwise. A dead-letter queue has none itself. Long
// names are cut, so that it still is a name; two of them may share one, each letter says whose it
// is.
std::string default_dead_letter(const std::string& name) {
    const std::string_view suffix = limits::dead_letter_suffix;
    if (name.ends_with(suffix)) return {};
    return name.substr(0, limits::name_max_bytes - suffix.size()).append(suffix);
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

std::string text_of(bool value) {
    return value ? "true" : "false";
}
std::string text_of(std::uint64_t value) {
    return std::to_string(value);
}
std::string text_of(const std::string& value) {
    return value.empty() ? "none" : value;
}
std::string text_of(wire::Overflow value) {
    return std::string(wire::overflow_token(value));
}
std::string text_of(wire::WhenFull value) {
    return std::string(wire::when_full_token(value));
}
std::string text_of(wire::Durability value) {
    return std::string(wire::durability_token(value));
}

// The first option said in `wanted` that the queue has otherwise.
std::optional<wire::Failure> first_difference(const Queue& queue, const wire::Options& wanted) {
    const wire::Options present = queue.options();
    std::optional<wire::Failure> difference;
    const auto compare = [&](std::string_view field, bool said, auto has, auto wants) {
        if (difference || !said || has == wants) return;
        difference = wire::queue_exists(queue.name(), field, text_of(has), text_of(wants));
    };
    const auto compare_number = [&](std::string_view field, std::uint64_t has,
                                    std::uint64_t wants) {
        compare(field, wants != 0, has, wants);
    };
    const auto compare_flag = [&](std::string_view field, std::optional<bool> has,
                                  std::optional<bool> wants) {
        compare(field, wants.has_value(), has.value_or(false), wants.value_or(false));
    };
    compare_number("capacity", present.capacity, wanted.capacity);
    compare_number("slot_size", present.slot_size, wanted.slot_size);
    compare_number("max_message", present.max_message, wanted.max_message);
    compare_number("pool", present.pool, wanted.pool);
    compare("overflow", wanted.overflow.has_value(), *present.overflow,
            wanted.overflow.value_or(wire::Overflow::block));
    compare_number("spill_limit", present.spill_limit, wanted.spill_limit);
    compare("when_full", wanted.when_full.has_value(),
            present.when_full.value_or(wire::WhenFull::block),
            wanted.when_full.value_or(wire::WhenFull::block));
    compare("durability", wanted.durability.has_value(), *present.durability,
            wanted.durability.value_or(wire::Durability::accepted));
    compare_number("lease", present.lease_ns, wanted.lease_ns);
    compare_number("in_flight", present.in_flight, wanted.in_flight);
    if (!difference && wanted.mode && wanted.mode != present.mode) {
        difference = wire::queue_exists(queue.name(), "mode", fmt::format("{:04o}", *present.mode),
                                        fmt::format("{:04o}", *wanted.mode));
    }
    compare("group", wanted.group.has_value(), std::uint64_t{*present.group},
            std::uint64_t{wanted.group.value_or(0)});
    compare_flag("exclusive_producer", present.exclusive_producer, wanted.exclusive_producer);
    compare_flag("exclusive_consumer", present.exclusive_consumer, wanted.exclusive_consumer);
    compare_flag("exact_timestamps", present.exact_timestamps, wanted.exact_timestamps);
    compare("max_deliveries", wanted.max_deliveries.has_value(),
            std::uint64_t{*present.max_deliveries},
            std::uint64_t{wanted.max_deliveries.value_or(0)});
    compare("dead_letter", wanted.dead_letter.has_value(), *present.dead_letter,
            wanted.dead_letter.value_or(""));
    compare_number("retry_delay", present.retry_delay_ns, wanted.retry_delay_ns);
    compare_number("retry_delay_max", present.retry_delay_max_ns, wanted.retry_delay_max_ns);
    compare_flag("pause_stopped", present.pause_stopped, wanted.pause_stopped);
    return difference;
}

// Consumers bring a pool that they may only read. It is ours, so we may open it for more.
bool make_writable(Fd& memory) {
    if ((::fcntl(memory.get(), F_GETFL) & O_ACCMODE) == O_RDWR) return true;
    const std::string path = fmt::format("/proc/self/fd/{}", memory.get());
    Fd writable(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!writable) return false;
    memory = std::move(writable);
    return true;
}

}  // namespace

Registry::~Registry() {
    SHMQ_CHECK(queues_.empty());
}

wire::Outcome<Registry::Created> Registry::create(const Caller& caller, const std::string& name,
                                                  const wire::Options& said, bool if_missing) {
    if (const std::string reason = wire::check_name(name); !reason.empty()) {
        return std::unexpected(wire::invalid_name(name, reason));
    }
    const wire::Options options = with_implied(said);
    if (auto failure = check_journal_options(options)) return std::unexpected(*failure);
    if (auto failure = check_options(caller, options)) return std::unexpected(*failure);
    if (auto failure = check_policy_options(name, options)) return std::unexpected(*failure);
    const auto found = queues_.find(name);
    if (found == queues_.end()) {
        Plan plan;
        plan.name = name;
        plan.ownership = {.owner = caller.uid,
                          .group = options.group.value_or(caller.gid),
                          .mode = options.mode.value_or(mode_default)};
        plan.beside_memory = beside_memory(options);
        plan.shape = shape_of(options);
        plan.policy = policy_of(name, options);
        auto made = make(plan, caller.pid);
        if (!made) return std::unexpected(made.error());
        return Created{std::move(*made), true};
    }
    if (!if_missing) return std::unexpected(wire::queue_exists(name));
    auto present = find(caller, name, Right::any, Right::any);
    if (!present) return std::unexpected(present.error());
    if (auto difference = first_difference(**present, options)) {
        return std::unexpected(*difference);
    }
    return Created{std::move(*present), false};
}

wire::Outcome<std::shared_ptr<Queue>> Registry::make(const Plan& plan, pid_t pid,
                                                     const RandomIdentity* identity) {
    const std::optional<shm::Geometry> geometry = shm::plan(plan.shape);
    SHMQ_CHECK(geometry.has_value());
    const uid_t uid = plan.ownership.owner;
    const std::uint64_t memory_bytes = geometry->segment_bytes + geometry->pool_bytes;
    if (auto failure = accounts_.charge_queue(uid, memory_bytes)) {
        log().warn("queue {} refused: quota of uid {} (pid {})", plan.name, uid, pid);
        return std::unexpected(*failure);
    }
    auto made = make_charged(plan, identity != nullptr ? *identity : random_identity(),
                             identity != nullptr);
    if (!made) {
        accounts_.release_queue(uid, memory_bytes);
        log().error("queue {} (uid {}, {} bytes) cannot be made: {}", plan.name, uid, memory_bytes,
                    made.error().parameters.dump());
        return made;
    }
    SHMQ_CHECK((*made)->memory_bytes() == memory_bytes);
    queues_.emplace(plan.name, *made);
    log().info("queue {} created by uid {} (pid {}): {} slots of {} bytes, at most {} bytes in all",
               plan.name, uid, pid, plan.shape.capacity, plan.shape.slot_size, memory_bytes);
    return made;
}

wire::Outcome<std::shared_ptr<Queue>> Registry::make_charged(const Plan& plan,
                                                             const RandomIdentity& identity,
                                                             bool restored) {
    shm::AttachFailure failure;
    auto segment = shm::Segment::create(plan.shape, identity.bytes, failure, plan.policy);
    if (segment == nullptr) {
        return std::unexpected(
            wire::system_error("create segment", failure.os_error, failure.detail));
    }
    auto queue = std::make_shared<Queue>(
        Queue::settings(plan.name, identity.text(), plan.ownership, plan.beside_memory),
        std::move(segment));
    queue->moves_settled = true;  // there were none
    if (auto kept = keep(*queue); !kept) return std::unexpected(kept.error());
    if (auto opened = journals_.open(*queue, restored); !opened) {
        drop(*queue);
        if (!restored) journals_.remove(*queue);
        return std::unexpected(wire::system_error("keep a journal", 0, opened.error()));
    }
    return queue;
}

std::expected<std::shared_ptr<Queue>, std::string> Registry::restore(const Definition& definition) {
    const auto identity = RandomIdentity::parse(definition.identity);
    if (!identity) return std::unexpected("its identity makes no sense");
    if (queues_.contains(definition.name)) {
        return std::unexpected("there is another queue of that name");
    }
    Plan plan;
    plan.name = definition.name;
    plan.ownership = definition.ownership;
    plan.beside_memory = beside_memory(definition.options);
    plan.shape = shape_of(definition.options);
    plan.policy = policy_of(definition.name, definition.options);
    if (std::string wrong = shm::check_shape(plan.shape); !wrong.empty())
        return std::unexpected(std::move(wrong));
    if (std::string wrong = shm::check_policy(plan.policy); !wrong.empty())
        return std::unexpected(std::move(wrong));
    auto made = make(plan, 0, &*identity);
    if (!made) return std::unexpected(made.error().parameters.dump());
    return *made;
}

bool Registry::has(const std::string& identity) const {
    return std::any_of(queues_.begin(), queues_.end(),
                       [&](const auto& entry) { return entry.second->identity() == identity; });
}

// As its source, with room for the histories, and without exclusive roles: dead letters come from
// us, and several may look at them. What fails there stays there.
wire::Outcome<std::shared_ptr<Queue>> Registry::dead_letter_queue(const Queue& source) {
    const shm::Policy& policy = source.segment().policy();
    const std::string name = policy.dead_letter;
    if (const auto found = lookup(name)) return found;
    Plan plan;
    plan.name = name;
    plan.ownership = source.ownership();
    plan.beside_memory.in_flight = source.in_flight();
    const shm::Shape& shape = source.segment().geometry().shape;
    plan.shape = shape;
    plan.shape.flags = shape.flags & shm::exact_timestamps;
    plan.shape.overflow = static_cast<std::uint32_t>(shm::Overflow::block);
    plan.shape.max_message =
        std::min(shm::bytes_with_history(shape.max_message), limits::message_max_bytes);
    plan.shape.pool_bytes = 0;
    plan.shape.pool_bytes = std::max(shape.pool_bytes, shm::with_defaults(plan.shape).pool_bytes);
    return make(plan, 0);
}

std::shared_ptr<Queue> Registry::by_identity(const std::uint8_t (&identity)[16]) const {
    for (const auto& [name, queue] : queues_) {
        if (std::equal(std::begin(identity), std::end(identity), queue->segment().identity())) {
            return queue;
        }
    }
    return nullptr;
}

// ---- What outlives this daemon -----------------------------------------------------------------

// The pool is made now, so that the definition can name it; its memory is touched when used. The
// definition goes last: who has it has everything.
wire::Outcome<void> Registry::keep(Queue& queue) {
    shm::Segment& segment = queue.segment();
    shm::AttachFailure failure;
    if (!segment.create_pool(failure)) {
        log().error("queue {}: no pool: {}", queue.name(), failure.detail);
        return std::unexpected(wire::system_error("create pool", failure.os_error, failure.detail));
    }
    if (!queue.definition) {
        queue.definition = write_definition(
            {.name = queue.name(),
             .identity = queue.identity(),
             .ownership = queue.ownership(),
             .options = queue.options(),
             .ring_inode = inode_of(segment.ring_fd()),
             .pool_inode = segment.pool_fd() < 0 ? 0 : inode_of(segment.pool_fd())});
    }
    if (!queue.definition) return std::unexpected(wire::system_error("write definition", errno));
    queue.kept_id = next_kept_id_++;
    if (segment.pool_fd() >= 0) {
        store_.keep(kept_name(kept::pool, queue.kept_id), segment.pool_fd());
    }
    store_.keep(kept_name(kept::ring, queue.kept_id), segment.ring_fd());
    store_.keep(kept_name(kept::definition, queue.kept_id), queue.definition.get());
    return {};
}

void Registry::drop(const Queue& queue) {
    store_.drop(kept_name(kept::definition, queue.kept_id));
    store_.drop(kept_name(kept::ring, queue.kept_id));
    if (queue.segment().pool_fd() >= 0) store_.drop(kept_name(kept::pool, queue.kept_id));
}

std::expected<std::shared_ptr<Queue>, std::string> Registry::adopt(const Definition& definition,
                                                                   Memory memory,
                                                                   std::uint64_t kept_id) {
    next_kept_id_ = std::max(next_kept_id_, kept_id + 1);
    if (queues_.contains(definition.name)) {
        return std::unexpected("there is another queue of that name");
    }
    if (!is_memory_of_ours(memory.ring.get(), definition.ring_inode) ||
        (definition.pool_inode != 0 &&
         !is_memory_of_ours(memory.pool.get(), definition.pool_inode))) {
        return std::unexpected("its memory is not what its definition names");
    }
    if (definition.pool_inode == 0) memory.pool.reset();
    if (!make_writable(memory.ring) || (memory.pool && !make_writable(memory.pool))) {
        return std::unexpected(
            fmt::format("its memory cannot be opened: {}", std::strerror(errno)));
    }
    shm::AttachFailure failure;
    auto segment = shm::Segment::attach(std::move(memory.ring), std::move(memory.pool),
                                        shm::Access::supervisor, failure);
    if (segment == nullptr) return std::unexpected(failure.detail);
    auto queue = std::make_shared<Queue>(Queue::settings(definition.name, definition.identity,
                                                         definition.ownership, definition.options),
                                         std::move(segment));
    // Its users can write the segment's header, and may have given it another shape.
    if (queue->options() != definition.options) {
        return std::unexpected("its header contradicts its definition");
    }
    queue->definition = std::move(memory.definition);
    if (kept_id == 0) {
        if (auto kept = keep(*queue); !kept) return std::unexpected(kept.error().error);
    } else {
        queue->kept_id = kept_id;
        if (queue->segment().pool_fd() >= 0) {
            store_.kept(kept_name(kept::pool, kept_id), queue->segment().pool_fd());
        }
        store_.kept(kept_name(kept::ring, kept_id), queue->segment().ring_fd());
        store_.kept(kept_name(kept::definition, kept_id), queue->definition.get());
    }
    accounts_.take_over_queue(queue->ownership().owner, queue->memory_bytes());
    queues_.emplace(queue->name(), queue);
    if (auto opened = journals_.open(*queue); !opened) {
        queue->raise_alarm(
            Queue::Alarm::journal,
            "its journal cannot be opened: " + opened.error() +
                "; what is in it is not delivered; mend it and start the daemon anew");
    }
    return queue;
}

// ---- Looking up --------------------------------------------------------------------------------

wire::Outcome<std::shared_ptr<Queue>> Registry::lookup(const std::string& name) const {
    if (const std::string reason = wire::check_name(name); !reason.empty()) {
        return std::unexpected(wire::invalid_name(name, reason));
    }
    const auto found = queues_.find(name);
    if (found == queues_.end()) return std::unexpected(wire::queue_not_found(name));
    return found->second;
}

wire::Outcome<std::shared_ptr<Queue>> Registry::find(const Caller& caller, const std::string& name,
                                                     Right right, std::uint32_t rights) const {
    auto found = lookup(name);
    if (!found) return found;
    const wire::Ownership& ownership = (*found)->ownership();
    if (!may(caller, ownership, rights)) {
        log().warn("uid {} (pid {}) may not {} queue {}: owner {}, group {}, mode {:04o}",
                   caller.uid, caller.pid, right == Right::any ? "see" : right_name(right), name,
                   ownership.owner, ownership.group, ownership.mode);
        return std::unexpected(
            wire::permission_denied(name, right_name(right), caller.uid, ownership));
    }
    return found;
}

std::vector<std::shared_ptr<Queue>> Registry::list(const Caller& caller) const {
    std::vector<std::shared_ptr<Queue>> visible;
    for (const auto& [name, queue] : queues_) {
        if (may(caller, queue->ownership(), Right::any)) visible.push_back(queue);
    }
    return visible;
}

void Registry::remove(const std::shared_ptr<Queue>& queue) {
    const auto found = queues_.find(queue->name());
    SHMQ_CHECK(found != queues_.end() && found->second == queue);
    queue->removed = true;
    queue->supervise().close(shm::QueueStatus::removed);
    accounts_.release_queue(queue->ownership().owner, queue->memory_bytes());
    drop(*queue);
    journals_.remove(*queue);
    queues_.erase(found);
}

void Registry::release_all() {
    for (const auto& [name, queue] : queues_) {
        accounts_.release_queue(queue->ownership().owner, queue->memory_bytes());
    }
    queues_.clear();
}

}  // namespace shmq::daemon

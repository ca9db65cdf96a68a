#include "daemon/registry.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/check.hpp"
#include "daemon/events.hpp"
#include "daemon/keeper/inherited.hpp"
#include "daemon/log.hpp"
#include "daemon/queue_options.hpp"

namespace shmq::daemon {
namespace {

constexpr std::uint32_t mode_default = 0700;

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

wire::Failure explained(wire::Failure failure, const std::string& queue) {
    rlimit limit{};
    if (failure.parameters.value("errno", 0) != EMFILE || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return failure;
    }
    failure.parameters["reason"] = fmt::format(
        "queue {}: the daemon may have at most {} open files, and has them; raise its hard limit "
        "(ulimit -Hn, LimitNOFILE= of a unit) and start it anew, or remove queues",
        queue, limit.rlim_cur);
    return failure;
}

Registry::~Registry() {
    SHMQ_CHECK(queues_.empty());
}

wire::Outcome<Registry::Created> Registry::create(const Caller& caller, const std::string& name,
                                                  const wire::Options& said, bool if_missing) {
    if (const std::string reason = wire::check_name(name); !reason.empty()) {
        return std::unexpected(wire::invalid_name(name, reason));
    }
    const auto found = queues_.find(name);
    const wire::Options options =
        with_implied(found == queues_.end() ? overlaid(said, defaults_) : said);
    if (auto failure = check_queue_options(caller, name, options)) return std::unexpected(*failure);
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
    if (queues_.size() >= limits::queues_max) {
        return std::unexpected(wire::system_error(
            "keep another queue", ENFILE,
            fmt::format("queue {}: the daemon has {} queues, and can leave no more to a successor; "
                        "remove some, or start another daemon on a socket of its own",
                        plan.name, queues_.size())));
    }
    const std::uint64_t memory_bytes = geometry->segment_bytes + geometry->pool_bytes;
    if (auto failure = accounts_.charge_queue(uid, memory_bytes)) {
        log().warn("queue {} refused: quota of uid {} (pid {})", plan.name, uid, pid);
        return std::unexpected(*failure);
    }
    auto made = make_charged(plan, identity != nullptr ? *identity : random_identity(),
                             identity != nullptr);
    if (!made) {
        accounts_.release_queue(uid, memory_bytes);
        made.error() = explained(std::move(made.error()), plan.name);
        log().error("queue {} (uid {}, {} bytes) cannot be made: {}", plan.name, uid, memory_bytes,
                    made.error().parameters.dump());
        return made;
    }
    SHMQ_CHECK((*made)->memory_bytes() == memory_bytes);
    queues_.emplace(plan.name, *made);
    log().info("queue {} created by uid {} (pid {}): {} slots of {} bytes, at most {} bytes in all",
               plan.name, uid, pid, plan.shape.capacity, plan.shape.slot_size, memory_bytes);
    tell("queue_created", made->get(), fmt::format("queue {} created by uid {}", plan.name, uid),
         static_cast<std::uint32_t>(pid));
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
    if (plan.paused != Paused{}) queue->pause(plan.paused);
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
    plan.paused = definition.paused;
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

// As its source, as safe, with room for the histories, and without exclusive roles: dead letters
// come from us, and several may look at them. What fails there stays there.
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
    const bool durable = (shape.flags & shm::durable_log) != 0;
    if (durable) {
        plan.beside_memory.durability = source.durability();
        plan.shape.flags |=
            shape.flags & (shm::journal_present | shm::durable_log | shm::unsynced_log);
        plan.shape.overflow = static_cast<std::uint32_t>(shm::Overflow::spill);
    }
    plan.shape.max_message =
        std::min(shm::bytes_with_history(shape.max_message), limits::message_max_bytes);
    plan.shape.pool_bytes = 0;
    plan.shape.pool_bytes = std::max(shape.pool_bytes, shm::with_defaults(plan.shape).pool_bytes);
    if (durable && source.spill_limit() != 0) {
        plan.beside_memory.spill_limit = std::max(
            {source.spill_limit(), limits::spill_limit_min_bytes, 2 * plan.shape.max_message});
    }
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

// The entry goes last: who has it has everything. What writes to a journal, or reads from it, needs
// blocks whether there are clients or not.
wire::Outcome<void> Registry::keep(Queue& queue) {
    shm::Segment& segment = queue.segment();
    const bool has_journal = segment.geometry().has(shm::journal_present);
    if (shm::AttachFailure failure; has_journal && !segment.create_pool(failure)) {
        return std::unexpected(wire::system_error("create pool", failure.os_error, failure.detail));
    }
    queue.supervise().refresh();
    queue.memory_number = memory_numbers_.take();
    store_.keep(kept_name(kept::ring, queue.memory_number), segment.ring_fd());
    if (segment.pool_fd() >= 0) {
        store_.keep(kept_name(kept::pool, queue.memory_number), segment.pool_fd());
    }
    queue.pool_is_kept = segment.pool_fd() >= 0;
    auto written = write_down(queue);
    if (!written) drop(queue);
    return written;
}

namespace {

Definition definition_of(const Queue& queue) {
    const shm::Segment& segment = queue.segment();
    return {.name = queue.name(),
            .identity = queue.identity(),
            .ownership = queue.ownership(),
            .options = queue.options(),
            .ring_inode = inode_of(segment.ring_fd()),
            .pool_inode = segment.pool_fd() < 0 ? 0 : inode_of(segment.pool_fd()),
            .paused = queue.paused()};
}

}  // namespace

// The new entry before the old one goes: a successor that finds both takes the new.
wire::Outcome<void> Registry::write_down(Queue& queue) {
    const std::uint32_t place =
        catalogue_.add(queue.memory_number, definition_text(definition_of(queue)));
    if (place == 0) return std::unexpected(wire::system_error("write definition", errno));
    catalogue_.erase(std::exchange(queue.catalogue_place, place));
    return {};
}

// A successor that finds the pool kept and not named lets go of it: nothing is in it yet.
wire::Outcome<void> Registry::make_pool(Queue& queue) {
    shm::Segment& segment = queue.segment();
    if (segment.geometry().pool_bytes == 0 || queue.pool_is_kept) return {};
    shm::AttachFailure failure;
    if (!segment.create_pool(failure)) {
        log().error("queue {}: no pool: {}", queue.name(), failure.detail);
        return std::unexpected(explained(
            wire::system_error("create pool", failure.os_error, failure.detail), queue.name()));
    }
    queue.supervise().refresh();
    store_.keep(kept_name(kept::pool, queue.memory_number), segment.pool_fd());
    auto written = write_down(queue);
    queue.pool_is_kept = written.has_value();
    return written;
}

wire::Outcome<Fd> Registry::definition_for_client(Queue& queue) {
    if (auto made = make_pool(queue); !made) return std::unexpected(made.error());
    Fd definition = write_definition(definition_of(queue));
    if (!definition) {
        return std::unexpected(
            explained(wire::system_error("write definition", errno), queue.name()));
    }
    return definition;
}

void Registry::drop(Queue& queue) {
    catalogue_.erase(std::exchange(queue.catalogue_place, 0));
    store_.drop(kept_name(kept::ring, queue.memory_number));
    if (queue.segment().pool_fd() >= 0) store_.drop(kept_name(kept::pool, queue.memory_number));
    memory_numbers_.give_back(std::exchange(queue.memory_number, 0));
}

std::expected<std::shared_ptr<Queue>, std::string> Registry::adopt(const Definition& definition,
                                                                   Memory memory,
                                                                   std::optional<Kept> kept) {
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
    queue->supervise().leave_in_doubt_while([this] { return journals_.moves_unknown(); });
    // Its users can write the segment's header, and may have given it another shape.
    if (!same_memory(queue->options(), definition.options)) {
        return std::unexpected("its header contradicts its definition");
    }
    Caller root;
    if (auto wrong = check_queue_options(root, definition.name, definition.options)) {
        return std::unexpected("its definition makes no sense: " + wrong->parameters.dump());
    }
    queue->change(definition.options, definition.ownership);
    queue->pause(definition.paused);
    if (!kept) {
        if (auto done = keep(*queue); !done) return std::unexpected(done.error().error);
    } else {
        memory_numbers_.reserve(kept->memory_number);
        queue->memory_number = kept->memory_number;
        queue->catalogue_place = kept->catalogue_place;
        queue->pool_is_kept = queue->segment().pool_fd() >= 0;
        store_.kept(kept_name(kept::ring, queue->memory_number), queue->segment().ring_fd());
        if (queue->pool_is_kept) {
            store_.kept(kept_name(kept::pool, queue->memory_number), queue->segment().pool_fd());
        }
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
    tell("queue_removed", queue.get(), fmt::format("queue {} removed", queue->name()));
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

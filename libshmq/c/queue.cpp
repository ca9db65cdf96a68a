// Queues: options on their way in, what is known on its way out.
#include "c/queue.hpp"

#include <memory>

#include "c/translate.hpp"

namespace shmq::c {
namespace {

// The C enumerators are the C++ ones, by number.
template <typename To, typename From>
constexpr To same(From value) {
    return static_cast<To>(value);
}

static_assert(SHMQ_OVERFLOW_SPILL == same<int>(Overflow::spill));
static_assert(SHMQ_WHEN_FULL_REJECT == same<int>(WhenFull::reject));
static_assert(SHMQ_DURABLE == same<int>(Durability::durable));
static_assert(SHMQ_GATE_CLOSING == same<int>(GateState::closing));
static_assert(SHMQ_JOURNAL_BROKEN == same<int>(JournalState::failed));
static_assert(SHMQ_SIDE_CONSUMERS == same<int>(Side::consumers));

bool known(const shmq_queue_options& from) {
    return number_of(from.overflow) <= SHMQ_OVERFLOW_SPILL &&
           number_of(from.when_full) <= SHMQ_WHEN_FULL_REJECT &&
           number_of(from.durability) <= SHMQ_DURABLE;
}

shmq_queue_options to_c(const QueueOptions& from) {
    shmq_queue_options to = SHMQ_QUEUE_OPTIONS_INIT;
    to.max_message = from.max_message;
    to.overflow = same<shmq_overflow>(from.overflow);
    to.spill_limit = from.spill_limit;
    to.when_full = same<shmq_when_full>(from.when_full);
    to.durability = same<shmq_durability>(from.durability);
    to.lease_ns = from.lease.count();
    const std::uint32_t deliveries = from.max_deliveries.value_or(0);
    to.max_deliveries = deliveries == 0 ? SHMQ_UNLIMITED : deliveries;
    to.dead_letter = from.dead_letter ? from.dead_letter->c_str() : "";
    to.retry_delay_ns = from.retry_delay.count();
    to.retry_delay_max_ns = from.retry_delay_max.count();
    to.pause_stopped = from.pause_stopped;
    to.exclusive_producer = from.exclusive_producer;
    to.exclusive_consumer = from.exclusive_consumer;
    to.exact_timestamps = from.exact_timestamps;
    to.mode = from.mode;
    to.has_group = from.group.has_value();
    to.group = from.group.value_or(0);
    to.capacity = from.capacity;
    to.slot_size = from.slot_size;
    to.pool = from.pool;
    to.in_flight = from.in_flight;
    return to;
}

// A queue's info with all that it points at.
struct OwnedInfo : shmq_queue_info {
    explicit OwnedInfo(QueueInfo&& from)
        : shmq_queue_info{}, source(std::move(from)), in_force(to_c(source.options)) {
        name = source.name.c_str();
        options = &in_force;
        owner_uid = source.owner_uid;
        group_gid = source.group_gid;
        quarantined = source.quarantined;
        alarm = source.alarm.c_str();
        gate = same<shmq_gate>(source.gate);
        journal = same<shmq_journal>(source.journal);
        producers = source.producers;
        consumers = source.consumers;
        memory_bytes = source.memory_bytes;
        producers_paused = source.producers_paused;
        consumers_paused = source.consumers_paused;
        recovery_bytes = source.recovery_bytes;
        recovered_bytes = source.recovered_bytes;
        copy_counts();
    }
    OwnedInfo(const OwnedInfo&) = delete;
    OwnedInfo& operator=(const OwnedInfo&) = delete;

    QueueInfo source;
    shmq_queue_options in_force;

  private:
    void copy_counts() {
        ready = source.ready;
        leased = source.leased;
        returned = source.returned;
        delayed = source.delayed;
        held = source.held;
        spilled = source.spilled;
        spilled_bytes = source.spilled_bytes;
        journal_bytes = source.journal_bytes;
        syncs = source.syncs;
        logged = source.logged;
        durable = source.durable;
        sent = source.sent;
        sent_bytes = source.sent_bytes;
        delivered = source.delivered;
        acked = source.acked;
        redelivered = source.redelivered;
        dropped = source.dropped;
        dropped_oldest = source.dropped_oldest;
        dropped_rejected = source.dropped_rejected;
        dropped_damaged = source.dropped_damaged;
        dropped_failed = source.dropped_failed;
        purged = source.purged;
        expired = source.expired;
        reclaimed = source.reclaimed;
        dead_lettered = source.dead_lettered;
        dead_rejected = source.dead_rejected;
        dead_expired = source.dead_expired;
        dead_crashed = source.dead_crashed;
        dead_limit = source.dead_limit;
        moved_in = source.moved_in;
        redriven = source.redriven;
    }
};

struct OwnedList : shmq_queue_list {
    explicit OwnedList(std::vector<QueueInfo>&& from) : shmq_queue_list{} {
        for (QueueInfo& info : from) {
            owned.push_back(std::make_unique<OwnedInfo>(std::move(info)));
            pointers.push_back(owned.back().get());
        }
        count = pointers.size();
        queues = pointers.data();
    }
    OwnedList(const OwnedList&) = delete;
    OwnedList& operator=(const OwnedList&) = delete;

    std::vector<std::unique_ptr<OwnedInfo>> owned;
    std::vector<const shmq_queue_info*> pointers;
};

constexpr std::uint32_t all_changes = (SHMQ_CHANGE_WHEN_FULL << 1) - 1;

}  // namespace

Result<QueueOptions> from_c(const shmq_queue_options* options) {
    const auto read = read_options(options);
    if (!read) return read.error();
    const shmq_queue_options& from = *read;
    if (!known(from)) return Error(Condition::invalid_argument, "an option has no such value");
    QueueOptions to;
    to.max_message = from.max_message;
    to.overflow = same<Overflow>(from.overflow);
    to.spill_limit = from.spill_limit;
    to.when_full = same<WhenFull>(from.when_full);
    to.durability = same<Durability>(from.durability);
    to.lease = std::chrono::nanoseconds(from.lease_ns);
    if (from.max_deliveries == SHMQ_UNLIMITED) {
        to.max_deliveries = 0;
    } else if (from.max_deliveries != 0) {
        to.max_deliveries = from.max_deliveries;
    }
    if (from.dead_letter != nullptr) to.dead_letter = from.dead_letter;
    to.retry_delay = std::chrono::nanoseconds(from.retry_delay_ns);
    to.retry_delay_max = std::chrono::nanoseconds(from.retry_delay_max_ns);
    to.pause_stopped = from.pause_stopped != 0;
    to.exclusive_producer = from.exclusive_producer != 0;
    to.exclusive_consumer = from.exclusive_consumer != 0;
    to.exact_timestamps = from.exact_timestamps != 0;
    if (from.mode != 0) to.mode = from.mode;
    if (from.has_group != 0) to.group = from.group;
    to.capacity = from.capacity;
    to.slot_size = from.slot_size;
    to.pool = from.pool;
    to.in_flight = from.in_flight;
    return to;
}

Result<QueueChanges> from_c(const shmq_queue_changes* changes) {
    const auto read = read_options(changes);
    if (!read) return read.error();
    const shmq_queue_changes& from = *read;
    if ((from.which & ~all_changes) != 0 || number_of(from.overflow) > SHMQ_OVERFLOW_SPILL ||
        number_of(from.when_full) > SHMQ_WHEN_FULL_REJECT) {
        return Error(Condition::invalid_argument, "a change has no such value");
    }
    QueueChanges to;
    const auto set = [&](std::uint32_t bit, auto& place, auto value) {
        if ((from.which & bit) != 0) place = value;
    };
    using std::chrono::nanoseconds;
    if ((from.which & SHMQ_CHANGE_DEAD_LETTER) != 0)
        to.dead_letter = from.dead_letter != nullptr ? from.dead_letter : "";
    set(SHMQ_CHANGE_LEASE, to.lease, nanoseconds(from.lease_ns));
    set(SHMQ_CHANGE_IN_FLIGHT, to.in_flight, from.in_flight);
    set(SHMQ_CHANGE_MAX_DELIVERIES, to.max_deliveries,
        from.max_deliveries == SHMQ_UNLIMITED ? 0 : from.max_deliveries);
    set(SHMQ_CHANGE_RETRY_DELAY, to.retry_delay, nanoseconds(from.retry_delay_ns));
    set(SHMQ_CHANGE_RETRY_DELAY_MAX, to.retry_delay_max, nanoseconds(from.retry_delay_max_ns));
    set(SHMQ_CHANGE_PAUSE_STOPPED, to.pause_stopped, from.pause_stopped != 0);
    set(SHMQ_CHANGE_MODE, to.mode, from.mode);
    set(SHMQ_CHANGE_GROUP, to.group, from.group);
    set(SHMQ_CHANGE_OWNER, to.owner, from.owner);
    set(SHMQ_CHANGE_OVERFLOW, to.overflow, same<Overflow>(from.overflow));
    set(SHMQ_CHANGE_SPILL_LIMIT, to.spill_limit, from.spill_limit);
    set(SHMQ_CHANGE_WHEN_FULL, to.when_full, same<WhenFull>(from.when_full));
    return to;
}

shmq_queue_info* to_c(QueueInfo&& info) {
    return new OwnedInfo(std::move(info));
}

shmq_queue_list* to_c(std::vector<QueueInfo>&& infos) {
    return new OwnedList(std::move(infos));
}

}  // namespace shmq::c

using namespace shmq::c;

void shmq_queue_info_free(shmq_queue_info* info) noexcept {
    delete static_cast<OwnedInfo*>(info);
}

void shmq_queue_list_free(shmq_queue_list* list) noexcept {
    delete static_cast<OwnedList*>(list);
}

shmq_code shmq_check_queue_name(const char* name) noexcept {
    if (name == nullptr) return fail_null("the queue's name");
    return guarded([&] {
        std::string wrong = shmq::check_queue_name(name);
        if (wrong.empty()) return SHMQ_OK;
        return fail(shmq::Error(shmq::Condition::invalid_argument, std::move(wrong)));
    });
}

#include "daemon/queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/events.hpp"
#include "daemon/log.hpp"
#include "daemon/queue_journal.hpp"
#include "daemon/queue_options.hpp"
#include "shm/audit.hpp"
#include "shm/given_numbers.hpp"

namespace shmq::daemon {
namespace {

constexpr Nanoseconds idle_sweep_most_ns = 10 * nanoseconds_per_second;

wire::GateState gate_of(shm::GateState gate) {
    switch (gate) {
        case shm::GateState::journal:
            return wire::GateState::journal;
        case shm::GateState::closing:
            return wire::GateState::closing;
        default:
            return wire::GateState::direct;
    }
}

wire::JournalState state_of(journal::Writer::State state) {
    switch (state) {
        case journal::Writer::State::no_room:
            return wire::JournalState::no_room;
        case journal::Writer::State::failed:
            return wire::JournalState::failed;
        default:
            return wire::JournalState::ok;
    }
}

}  // namespace

Queue::Queue(Settings settings, std::unique_ptr<shm::Segment> segment)
    : settings_(std::move(settings)), segment_(std::move(segment)), supervise_(*segment_) {
    supervise_.share_in_flight(settings_.in_flight);
}

Queue::~Queue() = default;

Queue::Settings Queue::settings(std::string name, std::string identity,
                                const wire::Ownership& ownership, const wire::Options& options) {
    Settings settings;
    settings.name = std::move(name);
    settings.identity = std::move(identity);
    settings.ownership = ownership;
    settings.in_flight = options.in_flight != 0 ? options.in_flight : limits::in_flight_default;
    settings.spill_limit = options.spill_limit;
    settings.durability = options.durability.value_or(wire::Durability::accepted);
    return settings;
}

std::uint64_t Queue::memory_bytes() const {
    return segment_->geometry().segment_bytes + segment_->geometry().pool_bytes;
}

wire::Options Queue::options() const {
    const shm::Geometry& geometry = segment_->geometry();
    const shm::Shape& shape = geometry.shape;
    wire::Options options;
    options.capacity = shape.capacity;
    options.slot_size = shape.slot_size;
    options.max_message = shape.max_message;
    options.pool = shape.pool_bytes;
    options.overflow = static_cast<wire::Overflow>(shape.overflow);
    options.spill_limit = settings_.spill_limit;
    if (geometry.has(shm::journal_present)) {
        options.when_full =
            geometry.has(shm::when_full_reject) ? wire::WhenFull::reject : wire::WhenFull::block;
    }
    options.durability = settings_.durability;
    options.lease_ns = shape.lease_ns;
    options.in_flight = settings_.in_flight;
    options.mode = settings_.ownership.mode;
    options.group = settings_.ownership.group;
    options.exclusive_producer = geometry.has(shm::exclusive_producer);
    options.exclusive_consumer = geometry.has(shm::exclusive_consumer);
    options.exact_timestamps = geometry.has(shm::exact_timestamps);
    const shm::Policy& policy = segment_->policy();
    options.max_deliveries = policy.max_deliveries;
    options.dead_letter = std::string(policy.dead_letter);
    options.retry_delay_ns = policy.retry_first_ns;
    options.retry_delay_max_ns = policy.retry_max_ns;
    options.pause_stopped = (policy.flags & shm::pause_stopped) != 0;
    return options;
}

void Queue::change(const wire::Options& options, const wire::Ownership& ownership) {
    settings_.ownership = ownership;
    settings_.in_flight = options.in_flight;
    settings_.spill_limit = options.spill_limit;
    segment_->change(options.lease_ns, static_cast<shm::Overflow>(*options.overflow),
                     options.when_full == wire::WhenFull::reject,
                     policy_of(settings_.name, options));
    supervise_.share_in_flight(settings_.in_flight);
    if (journal) journal->change_limit(settings_.spill_limit);
}

void Queue::pause(Paused paused) {
    paused_ = paused;
    supervise_.pause(paused.producers, paused.consumers);
}

wire::Queue Queue::describe() const {
    const shm::StateCounts states = shm::count_states(*segment_);
    const shm::TotalCounts totals = shm::count_totals(*segment_);
    wire::Queue queue;
    queue.name = settings_.name;
    queue.identity = settings_.identity;
    queue.options = options();
    queue.owner = settings_.ownership.owner;
    queue.group = settings_.ownership.group;
    queue.quarantined = quarantined();
    queue.paused_producers = paused_.producers;
    queue.paused_consumers = paused_.consumers;
    queue.ready = states.ready;
    queue.leased = states.leased;
    queue.returned = states.returned;
    queue.delayed = states.delayed;
    queue.held = states.deciding;
    for (const std::string& alarm : alarms_)
        queue.alarm += (queue.alarm.empty() || alarm.empty() ? "" : "; ") + alarm;
    if (journal) describe_journal(queue);
    queue.sent = totals.sent;
    queue.sent_bytes = totals.sent_bytes;
    queue.delivered = totals.delivered;
    queue.acked = totals.acked;
    queue.redelivered = totals.redelivered;
    queue.dropped = totals.dropped_oldest + totals.dropped_rejected + totals.dropped_damaged +
                    totals.dropped_failed;
    queue.dropped_oldest = totals.dropped_oldest;
    queue.dropped_rejected = totals.dropped_rejected;
    queue.dropped_damaged = totals.dropped_damaged;
    queue.dropped_failed = totals.dropped_failed;
    queue.purged = totals.purged;
    queue.expired = totals.expired;
    queue.reclaimed = totals.reclaimed_leases;
    queue.dead_rejected = totals.dead_rejected;
    queue.dead_expired = totals.dead_expired;
    queue.dead_crashed = totals.dead_crashed;
    queue.dead_limit = totals.dead_limit;
    queue.moved_in = totals.moved_in;
    queue.redriven = totals.redriven;
    queue.producers = producers;
    queue.consumers = consumers;
    queue.memory_bytes = memory_bytes();
    return queue;
}

std::uint64_t Queue::message_count() const {
    const shm::StateCounts states = shm::count_states(*segment_);
    const std::uint64_t in_ring =
        states.ready + states.leased + states.deciding + states.delayed + states.returned;
    if (!journal) return in_ring + states.arrived;
    const QueueJournal::Status status = journal->status();
    return in_ring + status.arriving + status.spilled;
}

// What waits on disk, or on its way there, is as ready as what waits in the ring.
void Queue::describe_journal(wire::Queue& queue) const {
    const QueueJournal::Status status = journal->status();
    queue.ready += status.arriving + status.spilled;
    queue.spilled = status.spilled;
    queue.spilled_bytes = status.spilled_bytes;
    queue.journal_bytes = status.file_bytes;
    queue.gate = gate_of(status.gate);
    queue.journal = status.recovering ? wire::JournalState::recovering : state_of(status.state);
    queue.recovery_bytes = status.recovery_bytes;
    queue.recovered_bytes = status.recovered_bytes;
    queue.syncs = status.syncs;
    queue.logged = status.logged;
    queue.durable = status.durable;
}

bool Queue::recovering() const {
    return journal != nullptr && journal->recovering();
}

std::string Queue::recovery_progress() const {
    return journal != nullptr ? journal->progress() : "";
}

Sleeps& Sleeps::operator+=(const Sleeps& other) {
    sleeps += other.sleeps;
    wakes += other.wakes;
    full += other.full;
    return *this;
}

Sleeps Queue::sleeps_of(std::uint16_t number) const {
    const auto* records = reinterpret_cast<const shm::ParticipantRecord*>(
        segment_->ring_base() + segment_->geometry().participants_offset);
    const shm::ParticipantRecord& record = records[number];
    if (record.state.load() == static_cast<std::uint32_t>(shm::ParticipantState::vacant)) return {};
    return {record.sleeps.load(), record.wakes.load(), record.full.load()};
}

Sleeps Queue::sleeps() const {
    Sleeps all = sleeps_left_;
    const std::uint32_t end = shm::given_numbers_end(*segment_);
    for (std::uint32_t number = 1; number < end; ++number)
        all += sleeps_of(static_cast<std::uint16_t>(number));
    return all;
}

void Queue::keep_sleeps_of(std::uint16_t number) {
    sleeps_left_ += sleeps_of(number);
}

void Queue::notice_spill() {
    if (!journal) return;
    const std::uint64_t spilled = journal->status().spilled;
    if (spilling_ == (spilled != 0)) return;
    spilling_ = spilled != 0;
    tell(spilling_ ? "spill_started" : "spill_ended", this,
         fmt::format("queue {}: {}", name(),
                     spilling_ ? "what does not fit goes on to disk" : "its backlog is gone"));
}

void Queue::check_damage(std::string_view during) {
    if (quarantined() || !(supervise_.damaged() || (journal && journal->damaged()))) return;
    quarantine_reason_ = fmt::format("its memory contradicts itself, found during {}", during);
    supervise_.close(shm::QueueStatus::quarantined);
    log().error("queue {} quarantined: {}; nothing goes in or out, remove it with force", name(),
                quarantine_reason_);
    tell("quarantined", this, fmt::format("queue {}: {}", name(), quarantine_reason_));
}

void Queue::raise_alarm(Alarm what, const std::string& text) {
    std::string& alarm = alarms_[static_cast<std::size_t>(what)];
    if (text == alarm) return;
    alarm = text;
    tell(text.empty() ? "alarm_over" : "alarm", this,
         fmt::format("queue {}: {}", name(), text.empty() ? "all is well again" : text));
    if (!text.empty()) {
        log().warn("queue {}: {}", name(), text);
    } else if (what == Alarm::held) {
        log().info("queue {}: nothing is held any more", name());
    } else {
        log().info("queue {}: its journal goes on", name());
    }
}

// Where the last sweep saw no lease, a quarter of the lease is often enough for the next, or ten
// seconds: that saves wake-ups, and a lease begun since is late by so much at most.
Nanoseconds Queue::sweep_interval() const {
    const Nanoseconds interval = supervise_.sweep_interval();
    if (supervise_.saw_leases()) return interval;
    const auto quarter = static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns / 4);
    return std::max(interval, std::min(quarter, idle_sweep_most_ns));
}

}  // namespace shmq::daemon

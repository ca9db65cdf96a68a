#include "python/convert.hpp"

#include <array>
#include <string>

namespace shmq::python {
namespace {

using namespace py::literals;

constexpr std::array overflow_names{"block", "reject", "drop_oldest", "spill"};
constexpr std::array when_full_names{"block", "reject"};
constexpr std::array durability_names{"accepted", "logged", "durable"};
constexpr std::array side_names{"both", "producers", "consumers"};
constexpr std::array gate_names{"none", "direct", "journal", "closing"};
constexpr std::array journal_names{"none", "ok", "no_room", "failed", "recovering"};

template <typename Enum, std::size_t Count>
Enum by_name(const std::array<const char*, Count>& names, const std::string& name,
             const char* what) {
    for (std::size_t index = 0; index < Count; ++index) {
        if (name == names[index]) return static_cast<Enum>(index);
    }
    throw Exception(
        Error(Condition::invalid_argument,
              std::string(what) + " is not '" + name + "', but one of those that help() names"));
}

template <typename Enum, std::size_t Count>
const char* name_of(const std::array<const char*, Count>& names, Enum value) {
    const auto index = static_cast<std::size_t>(value);
    return index < Count ? names[index] : "unknown";
}

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

double seconds(std::chrono::steady_clock::time_point time) {
    return seconds(std::chrono::nanoseconds(time.time_since_epoch()));
}

template <typename T>
void take(const py::dict& from, const char* key, T& to) {
    if (from.contains(key)) to = from[key].cast<T>();
}

void take(const py::dict& from, const char* key, std::chrono::nanoseconds& to) {
    if (from.contains(key)) to = std::chrono::nanoseconds(from[key].cast<std::int64_t>());
}

void take(const py::dict& from, const char* key, std::optional<std::chrono::nanoseconds>& to) {
    if (from.contains(key)) to = std::chrono::nanoseconds(from[key].cast<std::int64_t>());
}

template <typename Enum, std::size_t Count>
void take(const py::dict& from, const char* key, const std::array<const char*, Count>& names,
          std::optional<Enum>& to) {
    if (from.contains(key)) to = by_name<Enum>(names, from[key].cast<std::string>(), key);
}

template <typename T>
void take(const py::dict& from, const char* key, std::optional<T>& to) {
    if (from.contains(key)) to = from[key].cast<T>();
}

py::dict options_dict(const QueueOptions& from) {
    return py::dict(
        "max_message"_a = from.max_message, "overflow"_a = name_of(overflow_names, from.overflow),
        "spill_limit"_a = from.spill_limit,
        "when_full"_a = name_of(when_full_names, from.when_full),
        "durability"_a = name_of(durability_names, from.durability),
        "lease"_a = seconds(from.lease), "max_deliveries"_a = from.max_deliveries.value_or(0),
        "dead_letter"_a = from.dead_letter.value_or(""),
        "retry_delay"_a = seconds(from.retry_delay),
        "retry_delay_max"_a = seconds(from.retry_delay_max), "pause_stopped"_a = from.pause_stopped,
        "exclusive_producer"_a = from.exclusive_producer,
        "exclusive_consumer"_a = from.exclusive_consumer,
        "exact_timestamps"_a = from.exact_timestamps, "mode"_a = from.mode,
        "capacity"_a = from.capacity, "slot_size"_a = from.slot_size, "pool"_a = from.pool,
        "in_flight"_a = from.in_flight);
}

}  // namespace

void raise_as_python(const Exception& failure) {
    const Error& error = failure.error();
    const py::object made =
        py::module_::import("shmq.errors")
            .attr("make")(condition_name(error.condition()), error.message(), error.os_error());
    PyErr_SetObject(py::type::handle_of(made).ptr(), made.ptr());
}

Durability to_durability(const std::string& name) {
    return by_name<Durability>(durability_names, name, "a durability");
}

Side to_side(const std::string& name) {
    return by_name<Side>(side_names, name, "a side");
}

QueueChanges to_changes(const py::dict& from) {
    QueueChanges to;
    take(from, "lease", to.lease);
    take(from, "in_flight", to.in_flight);
    take(from, "max_deliveries", to.max_deliveries);
    take(from, "dead_letter", to.dead_letter);
    take(from, "retry_delay", to.retry_delay);
    take(from, "retry_delay_max", to.retry_delay_max);
    take(from, "pause_stopped", to.pause_stopped);
    take(from, "mode", to.mode);
    take(from, "group", to.group);
    take(from, "owner", to.owner);
    take(from, "overflow", overflow_names, to.overflow);
    take(from, "spill_limit", to.spill_limit);
    take(from, "when_full", when_full_names, to.when_full);
    return to;
}

QueueOptions to_options(const py::dict& from) {
    QueueOptions to;
    std::string overflow = "block";
    std::string when_full = "block";
    std::string durability = "accepted";
    take(from, "overflow", overflow);
    take(from, "when_full", when_full);
    take(from, "durability", durability);
    to.overflow = by_name<Overflow>(overflow_names, overflow, "overflow");
    to.when_full = by_name<WhenFull>(when_full_names, when_full, "when_full");
    to.durability = to_durability(durability);
    take(from, "max_message", to.max_message);
    take(from, "spill_limit", to.spill_limit);
    take(from, "lease", to.lease);
    take(from, "max_deliveries", to.max_deliveries);
    take(from, "dead_letter", to.dead_letter);
    take(from, "retry_delay", to.retry_delay);
    take(from, "retry_delay_max", to.retry_delay_max);
    take(from, "pause_stopped", to.pause_stopped);
    take(from, "exclusive_producer", to.exclusive_producer);
    take(from, "exclusive_consumer", to.exclusive_consumer);
    take(from, "exact_timestamps", to.exact_timestamps);
    take(from, "mode", to.mode);
    take(from, "group", to.group);
    take(from, "capacity", to.capacity);
    take(from, "slot_size", to.slot_size);
    take(from, "pool", to.pool);
    take(from, "in_flight", to.in_flight);
    return to;
}

py::dict to_dict(const QueueInfo& from) {
    return py::dict(
        "name"_a = from.name, "options"_a = options_dict(from.options),
        "owner_uid"_a = from.owner_uid, "group_gid"_a = from.group_gid,
        "quarantined"_a = from.quarantined, "producers_paused"_a = from.producers_paused,
        "consumers_paused"_a = from.consumers_paused, "ready"_a = from.ready,
        "leased"_a = from.leased, "returned"_a = from.returned, "delayed"_a = from.delayed,
        "held"_a = from.held, "alarm"_a = from.alarm, "gate"_a = name_of(gate_names, from.gate),
        "journal"_a = name_of(journal_names, from.journal), "spilled"_a = from.spilled,
        "spilled_bytes"_a = from.spilled_bytes, "journal_bytes"_a = from.journal_bytes,
        "syncs"_a = from.syncs, "logged"_a = from.logged, "durable"_a = from.durable,
        "recovery_bytes"_a = from.recovery_bytes, "recovered_bytes"_a = from.recovered_bytes,
        "sent"_a = from.sent, "sent_bytes"_a = from.sent_bytes, "delivered"_a = from.delivered,
        "acked"_a = from.acked, "redelivered"_a = from.redelivered, "dropped"_a = from.dropped,
        "dropped_oldest"_a = from.dropped_oldest, "dropped_rejected"_a = from.dropped_rejected,
        "dropped_damaged"_a = from.dropped_damaged, "dropped_failed"_a = from.dropped_failed,
        "purged"_a = from.purged, "expired"_a = from.expired, "reclaimed"_a = from.reclaimed,
        "dead_lettered"_a = from.dead_lettered, "dead_rejected"_a = from.dead_rejected,
        "dead_expired"_a = from.dead_expired, "dead_crashed"_a = from.dead_crashed,
        "dead_limit"_a = from.dead_limit, "moved_in"_a = from.moved_in,
        "redriven"_a = from.redriven, "producers"_a = from.producers,
        "consumers"_a = from.consumers, "memory_bytes"_a = from.memory_bytes);
}

py::dict to_dict(const DaemonInfo& from) {
    return py::dict("pid"_a = from.pid, "version"_a = from.version, "socket"_a = from.socket,
                    "queues"_a = from.queues, "sessions"_a = from.sessions,
                    "uptime"_a = seconds(from.uptime), "deaths"_a = from.deaths,
                    "reclaimed"_a = from.reclaimed, "restarts"_a = from.restarts,
                    "adopted"_a = from.adopted, "recovering"_a = from.recovering,
                    "state_directory"_a = from.state_directory, "alarm"_a = from.alarm);
}

py::dict to_dict(const DeadLetter& from) {
    return py::dict("reason"_a = from.reason, "source"_a = from.source,
                    "sequence"_a = from.sequence, "deliveries"_a = from.deliveries,
                    "failures"_a = from.failures, "first_failure"_a = seconds(from.first_failure),
                    "last_failure"_a = seconds(from.last_failure), "moved"_a = seconds(from.moved),
                    "pid"_a = from.pid, "uid"_a = from.uid, "executable"_a = from.executable,
                    "redriven"_a = from.redriven, "last_redriven"_a = seconds(from.last_redriven));
}

Payload::Payload(py::handle from) {
    if (PyUnicode_Check(from.ptr())) {
        Py_ssize_t size = 0;
        const char* utf8 = PyUnicode_AsUTF8AndSize(from.ptr(), &size);
        if (utf8 == nullptr) throw py::error_already_set();
        text_ = py::reinterpret_borrow<py::object>(from);
        bytes_ = std::as_bytes(std::span(utf8, static_cast<std::size_t>(size)));
        return;
    }
    if (PyObject_GetBuffer(from.ptr(), &buffer_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
    bytes_ = {static_cast<const std::byte*>(buffer_.buf), static_cast<std::size_t>(buffer_.len)};
}

}  // namespace shmq::python

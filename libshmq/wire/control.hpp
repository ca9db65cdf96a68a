// io.shmq.Control as both ends share it: names, structs, errors, and the description that
// GetInterfaceDescription answers. docs/control_protocol.md says what they mean.
//
// To add a method or a member: change the page and interface.cpp alike (a test compares them), and
// keep old callers working: new members of calls are optional, new members of answers are ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/varlink.hpp"

namespace shmq::wire {

constexpr std::string_view interface_name = "io.shmq.Control";
extern const std::string_view interface_description;

namespace method {
constexpr std::string_view hello = "io.shmq.Control.Hello";
constexpr std::string_view create = "io.shmq.Control.Create";
constexpr std::string_view describe = "io.shmq.Control.Describe";
constexpr std::string_view list = "io.shmq.Control.List";
constexpr std::string_view remove = "io.shmq.Control.Remove";
constexpr std::string_view purge = "io.shmq.Control.Purge";
constexpr std::string_view edit = "io.shmq.Control.Edit";
constexpr std::string_view pause = "io.shmq.Control.Pause";
constexpr std::string_view status = "io.shmq.Control.Status";
constexpr std::string_view metrics = "io.shmq.Control.Metrics";
constexpr std::string_view watch = "io.shmq.Control.Watch";
constexpr std::string_view pending = "io.shmq.Control.Pending";
constexpr std::string_view settle = "io.shmq.Control.Settle";
constexpr std::string_view release = "io.shmq.Control.Release";
constexpr std::string_view attach = "io.shmq.Control.Attach";
constexpr std::string_view detach = "io.shmq.Control.Detach";
constexpr std::string_view reattach = "io.shmq.Control.Reattach";
constexpr std::string_view resumed = "io.shmq.Control.Resumed";
constexpr std::string_view get_info = "org.varlink.service.GetInfo";
constexpr std::string_view get_interface_description =
    "org.varlink.service.GetInterfaceDescription";
}  // namespace method

namespace error {
constexpr std::string_view queue_not_found = "io.shmq.Control.QueueNotFound";
constexpr std::string_view queue_exists = "io.shmq.Control.QueueExists";
constexpr std::string_view queue_in_use = "io.shmq.Control.QueueInUse";
constexpr std::string_view permission_denied = "io.shmq.Control.PermissionDenied";
constexpr std::string_view role_taken = "io.shmq.Control.RoleTaken";
constexpr std::string_view invalid_name = "io.shmq.Control.InvalidName";
constexpr std::string_view invalid_parameter = "io.shmq.Control.InvalidParameter";
constexpr std::string_view quota_exceeded = "io.shmq.Control.QuotaExceeded";
constexpr std::string_view version_mismatch = "io.shmq.Control.VersionMismatch";
constexpr std::string_view hello_expected = "io.shmq.Control.HelloExpected";
constexpr std::string_view quarantined = "io.shmq.Control.Quarantined";
constexpr std::string_view participant_gone = "io.shmq.Control.ParticipantGone";
constexpr std::string_view definition_refused = "io.shmq.Control.DefinitionRefused";
constexpr std::string_view recovering = "io.shmq.Control.Recovering";
constexpr std::string_view system_error = "io.shmq.Control.SystemError";
constexpr std::string_view interface_not_found = "org.varlink.service.InterfaceNotFound";
constexpr std::string_view method_not_found = "org.varlink.service.MethodNotFound";
constexpr std::string_view method_not_implemented = "org.varlink.service.MethodNotImplemented";
}  // namespace error

// ---- Errors, one maker each --------------------------------------------------------------------

Failure queue_not_found(std::string_view name);
// An empty `field`: it exists, and the caller wanted to make it.
Failure queue_exists(std::string_view name, std::string_view field = {},
                     std::string_view present = {}, std::string_view wanted = {});
Failure queue_in_use(std::string_view name, std::uint64_t messages, std::uint64_t participants);
struct Ownership {
    std::uint32_t owner;
    std::uint32_t group;
    std::uint32_t mode;
};
// `right`: "manage", "produce", "consume".
Failure permission_denied(std::string_view name, std::string_view right, std::uint32_t uid,
                          const Ownership& ownership);
Failure role_taken(std::string_view name, std::string_view role, std::uint32_t pid);
Failure invalid_name(std::string_view name, std::string_view reason);
Failure invalid_parameter(std::string_view parameter, std::string_view reason);
// `resource`: "queues", "sessions", "memory_bytes", "participants".
Failure quota_exceeded(std::string_view resource, std::uint32_t uid, std::uint64_t limit,
                       std::uint64_t used);
Failure version_mismatch(std::string_view daemon, std::string_view client);
Failure hello_expected();
Failure quarantined(std::string_view name, std::string_view reason);
Failure participant_gone(std::string_view name, std::uint32_t participant);
Failure definition_refused(std::string_view reason);
// `reason`: for people, while the queue's journal is being read; empty: those who hold its memory
// are awaited.
Failure recovering(std::string_view name, std::string_view reason = {});
// `reason` empty: strerror's text.
Failure system_error(std::string_view operation, int os_error, std::string_view reason = {});
Failure interface_not_found(std::string_view interface);
Failure method_not_found(std::string_view method);
Failure method_not_implemented(std::string_view method);

// ---- Structs -----------------------------------------------------------------------------------

// Same numbers as shm::Overflow and the public ones.
enum class Overflow : std::uint32_t { block = 0, reject = 1, drop_oldest = 2, spill = 3 };
std::string_view overflow_token(Overflow overflow);
enum class WhenFull : std::uint32_t { block = 0, reject = 1 };
std::string_view when_full_token(WhenFull when_full);
enum class Durability : std::uint32_t { accepted = 0, logged = 1, durable = 2 };
std::string_view durability_token(Durability durability);
// How a queue's gate stands and how its journal is; none: it has no journal.
enum class GateState : std::uint32_t { none = 0, direct = 1, journal = 2, closing = 3 };
std::string_view gate_token(GateState gate);
enum class JournalState : std::uint32_t {
    none = 0,
    ok = 1,
    no_room = 2,
    failed = 3,
    recovering = 4,
};
std::string_view journal_state_token(JournalState state);

enum class Role { producer, consumer, observer };
std::string_view role_token(Role role);
// Reads member `name` of an object as a role; as Members::require.
bool require_role(Members& members, std::string_view name, Role& into);

// Zero or nullopt: not said, the default. What is not said does not travel.
struct Options {
    std::uint64_t capacity = 0;
    std::uint32_t slot_size = 0;
    std::uint64_t max_message = 0;
    std::uint64_t pool = 0;
    std::optional<Overflow> overflow;
    std::uint64_t spill_limit = 0;      // bytes
    std::optional<WhenFull> when_full;  // in force: of queues with a journal only
    std::optional<Durability> durability;
    std::uint64_t lease_ns = 0;
    std::uint32_t in_flight = 0;
    std::optional<std::uint32_t> mode;
    std::optional<std::uint32_t> group;
    std::optional<bool> exclusive_producer;
    std::optional<bool> exclusive_consumer;
    std::optional<bool> exact_timestamps;
    std::optional<std::uint32_t> max_deliveries;  // 0: no limit
    std::optional<std::string> dead_letter;       // empty: none
    std::uint64_t retry_delay_ns = 0;
    std::uint64_t retry_delay_max_ns = 0;
    std::optional<bool> pause_stopped;

    // Whether such a queue has a journal: it spills, or promises more than `accepted`.
    bool journal() const;

    bool operator==(const Options&) const = default;
};
Json to_json(const Options& options);
// Types and names only; bounds are the daemon's to check.
Outcome<Options> options_from_json(const Json& json, std::string_view path = "options",
                                   Unknown unknown = Unknown::refuse);

struct Queue {
    std::string name;
    std::string identity;  // 32 hexadecimal digits
    Options options;       // as in force
    std::uint32_t owner = 0;
    std::uint32_t group = 0;
    bool quarantined = false;
    bool paused_producers = false;
    bool paused_consumers = false;

    std::uint64_t ready = 0;  // those that are spilled included
    std::uint64_t leased = 0;
    std::uint64_t returned = 0;
    std::uint64_t delayed = 0;
    std::uint64_t held = 0;
    std::string alarm;

    // Zeros and `none` without a journal.
    GateState gate = GateState::none;
    JournalState journal = JournalState::none;
    std::uint64_t spilled = 0;        // in the log, and not in the ring
    std::uint64_t spilled_bytes = 0;  // their payloads
    std::uint64_t journal_bytes = 0;  // that its files take on disk
    std::uint64_t syncs = 0;
    std::uint64_t logged = 0;   // messages so far that were written to the log
    std::uint64_t durable = 0;  // messages so far that were synced
    // While `journal` is recovering: bytes of its files, and how many of them were read.
    std::uint64_t recovery_bytes = 0;
    std::uint64_t recovered_bytes = 0;

    std::uint64_t sent = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t delivered = 0;
    std::uint64_t acked = 0;
    std::uint64_t redelivered = 0;
    std::uint64_t dropped = 0;
    std::uint64_t dropped_oldest = 0;
    std::uint64_t dropped_rejected = 0;
    std::uint64_t dropped_damaged = 0;
    std::uint64_t dropped_failed = 0;
    std::uint64_t purged = 0;
    std::uint64_t expired = 0;
    std::uint64_t reclaimed = 0;
    std::uint64_t dead_rejected = 0;
    std::uint64_t dead_expired = 0;
    std::uint64_t dead_crashed = 0;
    std::uint64_t dead_limit = 0;
    std::uint64_t moved_in = 0;
    std::uint64_t redriven = 0;

    std::uint32_t producers = 0;
    std::uint32_t consumers = 0;
    std::uint64_t memory_bytes = 0;

    bool operator==(const Queue&) const = default;
};
Json to_json(const Queue& queue);
Outcome<Queue> queue_from_json(const Json& json, std::string_view path = "queue",
                               Unknown unknown = Unknown::refuse);

// One message of a Pending answer.
enum class PendingState { leased, delayed, held };
std::string_view pending_state_token(PendingState state);
struct Pending {
    std::uint64_t sequence = 0;
    PendingState state = PendingState::leased;
    std::uint32_t participant = 0;  // 0: nobody holds it
    std::uint32_t pid = 0;          // 0: not known
    std::uint32_t uid = 0;
    std::string executable;  // empty: not known
    std::uint64_t age_ns = 0;
    std::optional<std::uint64_t> lease_left_ns;
    std::optional<std::uint64_t> due_in_ns;
    std::uint32_t deliveries = 0;
    std::uint32_t failures = 0;
    std::uint64_t size = 0;

    bool operator==(const Pending&) const = default;
};
Json to_json(const Pending& pending);
Outcome<Pending> pending_from_json(const Json& json, std::string_view path = "messages",
                                   Unknown unknown = Unknown::refuse);

// What Watch tells.
struct Event {
    std::uint64_t time_ns = 0;  // of the wall clock
    std::string kind;
    std::string queue;  // empty: of none
    std::string text;   // for people
    std::uint32_t pid = 0;
    std::uint64_t count = 0;
    std::uint64_t lost = 0;  // events before this one that the reader was too slow for

    bool operator==(const Event&) const = default;
};
Json to_json(const Event& event);
Outcome<Event> event_from_json(const Json& json, std::string_view path = "event",
                               Unknown unknown = Unknown::refuse);

// What Settle does to each message.
enum class SettleVerb { ack, nack, extend, redrive, discard };
std::string_view settle_verb_token(SettleVerb verb);
bool require_settle_verb(Members& members, std::string_view name, SettleVerb& into);
// On whose account Settle left a message as it was: the message's own; the queue's that it was to
// go to; or nobody's but for the moment: it is on its way, or that queue makes room by itself.
enum class RefusedFor { message, target, busy };
struct Refusal {
    std::uint64_t sequence = 0;
    std::string reason;
    RefusedFor on_account_of = RefusedFor::message;
};
Json to_json(const Refusal& refusal);
Outcome<Refusal> refusal_from_json(const Json& json);
constexpr std::size_t settle_most = 4096;   // sequences of one call
constexpr std::size_t pending_page = 1024;  // messages of one answer

// ---- Rules that both ends apply ----------------------------------------------------------------

// Empty if `name` may name a queue, else what is wrong with it. shmq::check_queue_name is this.
std::string check_name(std::string_view name);

// Whether a client and a daemon of these versions (MAJOR.MINOR.PATCH) may work together: same
// major, and before 1.0 same minor. False for what is no version.
bool versions_agree(std::string_view daemon, std::string_view client);

}  // namespace shmq::wire

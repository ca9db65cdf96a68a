#include "wire/control.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <span>
#include <tuple>

#include "base/limits.hpp"

namespace shmq::wire {
namespace {

// What a peer wrote is repeated to it, but not at any length: the answer must fit a frame.
std::string clipped(std::string_view text) {
    if (text.size() <= limits::name_max_bytes) return std::string(text);
    std::string clipped_text(text.substr(0, limits::name_max_bytes));
    clipped_text.append("...");
    return clipped_text;
}

Failure failure(std::string_view error, Json parameters) {
    return {std::string(error), std::move(parameters)};
}

}  // namespace

Failure queue_not_found(std::string_view name) {
    return failure(error::queue_not_found, {{"name", clipped(name)}});
}

Failure queue_exists(std::string_view name, std::string_view field, std::string_view present,
                     std::string_view wanted) {
    return failure(
        error::queue_exists,
        {{"name", clipped(name)}, {"field", field}, {"present", present}, {"wanted", wanted}});
}

Failure queue_in_use(std::string_view name, std::uint64_t messages, std::uint64_t participants) {
    return failure(
        error::queue_in_use,
        {{"name", clipped(name)}, {"messages", messages}, {"participants", participants}});
}

Failure permission_denied(std::string_view name, std::string_view right, std::uint32_t uid,
                          const Ownership& ownership) {
    return failure(error::permission_denied, {{"name", clipped(name)},
                                              {"right", right},
                                              {"uid", uid},
                                              {"owner", ownership.owner},
                                              {"group", ownership.group},
                                              {"mode", ownership.mode}});
}

Failure role_taken(std::string_view name, std::string_view role, std::uint32_t pid) {
    return failure(error::role_taken, {{"name", clipped(name)}, {"role", role}, {"pid", pid}});
}

Failure invalid_name(std::string_view name, std::string_view reason) {
    return failure(error::invalid_name, {{"name", clipped(name)}, {"reason", reason}});
}

Failure invalid_parameter(std::string_view parameter, std::string_view reason) {
    return failure(error::invalid_parameter,
                   {{"parameter", clipped(parameter)}, {"reason", reason}});
}

Failure quota_exceeded(std::string_view resource, std::uint32_t uid, std::uint64_t limit,
                       std::uint64_t used) {
    return failure(error::quota_exceeded,
                   {{"resource", resource}, {"uid", uid}, {"limit", limit}, {"used", used}});
}

Failure version_mismatch(std::string_view daemon, std::string_view client) {
    return failure(error::version_mismatch, {{"daemon", daemon}, {"client", clipped(client)}});
}

Failure hello_expected() {
    return failure(error::hello_expected, Json::object());
}

Failure quarantined(std::string_view name, std::string_view reason) {
    return failure(error::quarantined, {{"name", clipped(name)}, {"reason", reason}});
}

Failure participant_gone(std::string_view name, std::uint32_t participant) {
    return failure(error::participant_gone,
                   {{"name", clipped(name)}, {"participant", participant}});
}

Failure definition_refused(std::string_view reason) {
    return failure(error::definition_refused, {{"reason", reason}});
}

Failure recovering(std::string_view name, std::string_view reason) {
    return failure(error::recovering, {{"name", clipped(name)}, {"reason", reason}});
}

Failure system_error(std::string_view operation, int os_error, std::string_view reason) {
    return failure(
        error::system_error,
        {{"operation", operation},
         {"errno", os_error},
         {"reason", reason.empty() ? std::string_view(std::strerror(os_error)) : reason}});
}

Failure interface_not_found(std::string_view interface) {
    return failure(error::interface_not_found, {{"interface", clipped(interface)}});
}

Failure method_not_found(std::string_view method) {
    return failure(error::method_not_found, {{"method", clipped(method)}});
}

Failure method_not_implemented(std::string_view method) {
    return failure(error::method_not_implemented, {{"method", clipped(method)}});
}

namespace {

// The tokens of an enumeration, in the order of its numbers.
constexpr auto overflow_tokens =
    std::to_array<std::string_view>({"block", "reject", "drop_oldest", "spill"});
constexpr auto when_full_tokens = std::to_array<std::string_view>({"block", "reject"});
constexpr auto durability_tokens =
    std::to_array<std::string_view>({"accepted", "logged", "durable"});
constexpr auto gate_tokens =
    std::to_array<std::string_view>({"none", "direct", "journal", "closing"});
constexpr auto journal_state_tokens =
    std::to_array<std::string_view>({"none", "ok", "no_room", "failed", "recovering"});
constexpr auto role_tokens = std::to_array<std::string_view>({"producer", "consumer", "observer"});
constexpr auto pending_state_tokens =
    std::to_array<std::string_view>({"leased", "delayed", "held"});
constexpr auto settle_verb_tokens =
    std::to_array<std::string_view>({"ack", "nack", "extend", "redrive", "discard"});
constexpr auto refused_for_tokens = std::to_array<std::string_view>({"message", "target", "busy"});

template <typename Enum>
std::string_view token_of(std::span<const std::string_view> tokens, Enum value) {
    const auto index = static_cast<std::size_t>(value);
    return index < tokens.size() ? tokens[index] : tokens.back();
}

// As Members::take and Members::require.
template <typename Enum>
bool take(Members& members, std::string_view name, std::span<const std::string_view> tokens,
          Enum& into) {
    std::size_t index = 0;
    if (!members.take_token(name, tokens, index)) return false;
    into = static_cast<Enum>(index);
    return true;
}
template <typename Enum>
void take(Members& members, std::string_view name, std::span<const std::string_view> tokens,
          std::optional<Enum>& into) {
    Enum value{};
    if (take(members, name, tokens, value)) into = value;
}
template <typename Enum>
bool require(Members& members, std::string_view name, std::span<const std::string_view> tokens,
             Enum& into) {
    return members.require_any(name) != nullptr && take(members, name, tokens, into);
}

}  // namespace

std::string_view overflow_token(Overflow overflow) {
    return token_of(overflow_tokens, overflow);
}
std::string_view when_full_token(WhenFull when_full) {
    return token_of(when_full_tokens, when_full);
}
std::string_view durability_token(Durability durability) {
    return token_of(durability_tokens, durability);
}
std::string_view gate_token(GateState gate) {
    return token_of(gate_tokens, gate);
}
std::string_view journal_state_token(JournalState state) {
    return token_of(journal_state_tokens, state);
}
std::string_view role_token(Role role) {
    return token_of(role_tokens, role);
}

bool require_role(Members& members, std::string_view name, Role& into) {
    return require(members, name, role_tokens, into);
}

bool Options::journal() const {
    return overflow == Overflow::spill ||
           durability.value_or(Durability::accepted) != Durability::accepted;
}

Json to_json(const Options& options) {
    Json json = Json::object();
    const auto put_number = [&json](const char* name, auto value) {
        if (value != 0) json[name] = value;
    };
    const auto put = [&json](const char* name, const auto& value) {
        if (value) json[name] = *value;
    };
    put_number("capacity", options.capacity);
    put_number("slot_size", options.slot_size);
    put_number("max_message", options.max_message);
    put_number("pool", options.pool);
    if (options.overflow) json["overflow"] = overflow_token(*options.overflow);
    put_number("spill_limit", options.spill_limit);
    if (options.when_full) json["when_full"] = when_full_token(*options.when_full);
    if (options.durability) json["durability"] = durability_token(*options.durability);
    put_number("lease", options.lease_ns);
    put_number("in_flight", options.in_flight);
    put("mode", options.mode);
    put("group", options.group);
    put("exclusive_producer", options.exclusive_producer);
    put("exclusive_consumer", options.exclusive_consumer);
    put("exact_timestamps", options.exact_timestamps);
    put("max_deliveries", options.max_deliveries);
    put("dead_letter", options.dead_letter);
    put_number("retry_delay", options.retry_delay_ns);
    put_number("retry_delay_max", options.retry_delay_max_ns);
    put("pause_stopped", options.pause_stopped);
    return json;
}

Outcome<Options> options_from_json(const Json& json, std::string_view path, Unknown unknown) {
    Options options;
    Members members(json, path);
    members.take("capacity", options.capacity);
    members.take("slot_size", options.slot_size);
    members.take("max_message", options.max_message);
    members.take("pool", options.pool);
    take(members, "overflow", overflow_tokens, options.overflow);
    members.take("spill_limit", options.spill_limit);
    take(members, "when_full", when_full_tokens, options.when_full);
    take(members, "durability", durability_tokens, options.durability);
    members.take("lease", options.lease_ns);
    members.take("in_flight", options.in_flight);
    members.take("mode", options.mode);
    members.take("group", options.group);
    members.take("exclusive_producer", options.exclusive_producer);
    members.take("exclusive_consumer", options.exclusive_consumer);
    members.take("exact_timestamps", options.exact_timestamps);
    members.take("max_deliveries", options.max_deliveries);
    members.take("dead_letter", options.dead_letter);
    members.take("retry_delay", options.retry_delay_ns);
    members.take("retry_delay_max", options.retry_delay_max_ns);
    members.take("pause_stopped", options.pause_stopped);
    if (auto failure = members.finish(unknown)) return std::unexpected(std::move(*failure));
    return options;
}

namespace {

// The members of Queue that are plain values, in the order of the interface; both directions walk
// this list, so neither can forget one.
constexpr auto queue_members = std::make_tuple(
    std::pair("name", &Queue::name), std::pair("identity", &Queue::identity),
    std::pair("owner", &Queue::owner), std::pair("group", &Queue::group),
    std::pair("quarantined", &Queue::quarantined),
    std::pair("paused_producers", &Queue::paused_producers),
    std::pair("paused_consumers", &Queue::paused_consumers), std::pair("ready", &Queue::ready),
    std::pair("leased", &Queue::leased), std::pair("returned", &Queue::returned),
    std::pair("delayed", &Queue::delayed), std::pair("held", &Queue::held),
    std::pair("alarm", &Queue::alarm), std::pair("spilled", &Queue::spilled),
    std::pair("spilled_bytes", &Queue::spilled_bytes),
    std::pair("journal_bytes", &Queue::journal_bytes), std::pair("syncs", &Queue::syncs),
    std::pair("logged", &Queue::logged), std::pair("durable", &Queue::durable),
    std::pair("recovery_bytes", &Queue::recovery_bytes),
    std::pair("recovered_bytes", &Queue::recovered_bytes), std::pair("sent", &Queue::sent),
    std::pair("sent_bytes", &Queue::sent_bytes), std::pair("delivered", &Queue::delivered),
    std::pair("acked", &Queue::acked), std::pair("redelivered", &Queue::redelivered),
    std::pair("dropped", &Queue::dropped), std::pair("dropped_oldest", &Queue::dropped_oldest),
    std::pair("dropped_rejected", &Queue::dropped_rejected),
    std::pair("dropped_damaged", &Queue::dropped_damaged),
    std::pair("dropped_failed", &Queue::dropped_failed), std::pair("purged", &Queue::purged),
    std::pair("expired", &Queue::expired), std::pair("reclaimed", &Queue::reclaimed),
    std::pair("dead_rejected", &Queue::dead_rejected),
    std::pair("dead_expired", &Queue::dead_expired),
    std::pair("dead_crashed", &Queue::dead_crashed), std::pair("dead_limit", &Queue::dead_limit),
    std::pair("moved_in", &Queue::moved_in), std::pair("redriven", &Queue::redriven),
    std::pair("producers", &Queue::producers), std::pair("consumers", &Queue::consumers),
    std::pair("memory_bytes", &Queue::memory_bytes));

}  // namespace

Json to_json(const Queue& queue) {
    Json json = {{"options", to_json(queue.options)},
                 {"gate", gate_token(queue.gate)},
                 {"journal", journal_state_token(queue.journal)}};
    std::apply([&](const auto&... member) { ((json[member.first] = queue.*member.second), ...); },
               queue_members);
    return json;
}

Outcome<Queue> queue_from_json(const Json& json, std::string_view path, Unknown unknown) {
    Queue queue;
    Members members(json, path);
    std::apply(
        [&](const auto&... member) { (members.require(member.first, queue.*member.second), ...); },
        queue_members);
    require(members, "gate", gate_tokens, queue.gate);
    require(members, "journal", journal_state_tokens, queue.journal);
    const Json* options = members.require_any("options");
    if (auto failure = members.finish(unknown)) return std::unexpected(std::move(*failure));
    auto parsed = options_from_json(*options, std::string(path) + ".options", unknown);
    if (!parsed) return std::unexpected(std::move(parsed.error()));
    queue.options = *parsed;
    return queue;
}

std::string_view pending_state_token(PendingState state) {
    return token_of(pending_state_tokens, state);
}

namespace {

constexpr auto pending_members = std::make_tuple(
    std::pair("sequence", &Pending::sequence), std::pair("participant", &Pending::participant),
    std::pair("pid", &Pending::pid), std::pair("uid", &Pending::uid),
    std::pair("executable", &Pending::executable), std::pair("age", &Pending::age_ns),
    std::pair("deliveries", &Pending::deliveries), std::pair("failures", &Pending::failures),
    std::pair("size", &Pending::size));

}  // namespace

Json to_json(const Pending& pending) {
    Json json = {{"state", pending_state_token(pending.state)}};
    std::apply([&](const auto&... member) { ((json[member.first] = pending.*member.second), ...); },
               pending_members);
    if (pending.lease_left_ns) json["lease_left"] = *pending.lease_left_ns;
    if (pending.due_in_ns) json["due_in"] = *pending.due_in_ns;
    return json;
}

Outcome<Pending> pending_from_json(const Json& json, std::string_view path, Unknown unknown) {
    Pending pending;
    Members members(json, path);
    std::apply(
        [&](const auto&... member) {
            (members.require(member.first, pending.*member.second), ...);
        },
        pending_members);
    require(members, "state", pending_state_tokens, pending.state);
    members.take("lease_left", pending.lease_left_ns);
    members.take("due_in", pending.due_in_ns);
    if (auto failure = members.finish(unknown)) return std::unexpected(std::move(*failure));
    return pending;
}

Json to_json(const Event& event) {
    Json json = {{"time", event.time_ns}, {"kind", event.kind},   {"text", event.text},
                 {"pid", event.pid},      {"count", event.count}, {"lost", event.lost}};
    if (!event.queue.empty()) json["queue"] = event.queue;
    return json;
}

Outcome<Event> event_from_json(const Json& json, std::string_view path, Unknown unknown) {
    Event event;
    Members members(json, path);
    members.require("time", event.time_ns);
    members.require("kind", event.kind);
    members.take("queue", event.queue);
    members.require("text", event.text);
    members.require("pid", event.pid);
    members.require("count", event.count);
    members.require("lost", event.lost);
    if (auto failure = members.finish(unknown)) return std::unexpected(std::move(*failure));
    return event;
}

std::string_view settle_verb_token(SettleVerb verb) {
    return token_of(settle_verb_tokens, verb);
}

Json to_json(const Refusal& refusal) {
    return {{"sequence", refusal.sequence},
            {"reason", refusal.reason},
            {"for", token_of(refused_for_tokens, refusal.on_account_of)}};
}

Outcome<Refusal> refusal_from_json(const Json& json) {
    Refusal refusal;
    Members members(json, "refused");
    members.require("sequence", refusal.sequence);
    members.require("reason", refusal.reason);
    require(members, "for", refused_for_tokens, refusal.on_account_of);
    if (auto failure = members.finish(Unknown::ignore)) return std::unexpected(std::move(*failure));
    return refusal;
}

bool require_settle_verb(Members& members, std::string_view name, SettleVerb& into) {
    return require(members, name, settle_verb_tokens, into);
}

std::string check_name(std::string_view name) {
    if (name.empty()) return "a queue's name must not be empty";
    if (name.size() > limits::name_max_bytes) {
        return "a queue's name has at most " + std::to_string(limits::name_max_bytes) +
               " bytes, this one " + std::to_string(name.size());
    }
    const auto allowed = [](char byte) {
        return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
               (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-' ||
               byte == '/';
    };
    const auto bad = std::find_if_not(name.begin(), name.end(), allowed);
    if (bad != name.end()) {
        return "a queue's name has letters, digits, '.', '_', '-' and '/' only; byte " +
               std::to_string(bad - name.begin() + 1) + " is none of them";
    }
    for (std::size_t begin = 0; begin <= name.size();) {
        const std::size_t end = std::min(name.find('/', begin), name.size());
        const std::string_view part = name.substr(begin, end - begin);
        if (part.empty()) return "no part of a queue's name between slashes may be empty";
        if (part == "." || part == "..") return "no part of a queue's name may be '.' or '..'";
        begin = end + 1;
    }
    return {};
}

namespace {

struct Version {
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;
};

std::optional<Version> parse_version(std::string_view text) {
    Version version;
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    for (unsigned* part : {&version.major, &version.minor, &version.patch}) {
        if (part != &version.major) {
            if (at == end || *at != '.') return std::nullopt;
            ++at;
        }
        const auto [next, problem] = std::from_chars(at, end, *part);
        if (problem != std::errc{}) return std::nullopt;
        at = next;
    }
    if (at != end) return std::nullopt;
    return version;
}

}  // namespace

bool versions_agree(std::string_view daemon, std::string_view client) {
    const auto ours = parse_version(daemon);
    const auto theirs = parse_version(client);
    if (!ours || !theirs || ours->major != theirs->major) return false;
    return ours->major > 0 || ours->minor == theirs->minor;
}

}  // namespace shmq::wire

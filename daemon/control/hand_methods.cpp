// What operators do by hand: to single messages Pending, Settle, Release; to queues Edit, Pause.
#include <fmt/format.h>

#include <utility>

#include "daemon/control/methods.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

struct SettleCall {
    std::string name;
    wire::SettleVerb verb{};
    std::vector<std::uint64_t> sequences;
    std::optional<std::uint64_t> time_ns;
    std::string to;
};

wire::Outcome<SettleCall> read_settle(const wire::Call& call) {
    SettleCall out;
    wire::Members members(call.parameters);
    members.require("name", out.name);
    wire::require_settle_verb(members, "verb", out.verb);
    const wire::Json* sequences = members.require_any("sequences");
    members.take("time", out.time_ns);
    members.take("to", out.to);
    if (sequences != nullptr && !sequences->is_array()) {
        members.refuse("sequences", "is no list");
    } else if (sequences != nullptr && sequences->size() > wire::settle_most) {
        members.refuse("sequences", fmt::format("has more than {}", wire::settle_most));
    } else if (sequences != nullptr) {
        for (const wire::Json& sequence : *sequences) {
            if (!sequence.is_number_unsigned()) {
                members.refuse("sequences", "has something that is no sequence");
                break;
            }
            out.sequences.push_back(sequence.get<std::uint64_t>());
        }
    }
    const auto longest = static_cast<std::uint64_t>(limits::delay_max_ns);
    if (out.time_ns && *out.time_ns > longest) {
        members.refuse("time", fmt::format("{} is more than {} ns", *out.time_ns, longest));
    }
    if (auto failure = members.finish()) return std::unexpected(*failure);
    return out;
}

std::string settle_one(Queue& queue, const SettleCall& call, std::uint64_t sequence,
                       Nanoseconds now) {
    shm::Supervise& supervise = queue.supervise();
    const auto time = static_cast<Nanoseconds>(call.time_ns.value_or(0));
    switch (call.verb) {
        case wire::SettleVerb::ack:
            return supervise.ack_by_hand(sequence);
        case wire::SettleVerb::nack:
            return supervise.nack_by_hand(sequence, now + time, now);
        case wire::SettleVerb::extend: {
            const auto lease = static_cast<Nanoseconds>(queue.segment().geometry().shape.lease_ns);
            return supervise.extend_by_hand(sequence, deadline_after(now, time != 0 ? time : lease),
                                            now);
        }
        case wire::SettleVerb::discard:
            return supervise.discard(
                sequence,
                !queue.segment().geometry().has(shm::exclusive_consumer) || queue.consumers == 0);
        case wire::SettleVerb::redrive:
            break;
    }
    return "cannot be done here";
}

}  // namespace

wire::Outcome<Reply> Methods::pending(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    std::optional<std::uint64_t> after;
    wire::Members members(call.parameters);
    members.require("name", name);
    members.take("after", after);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const auto queue =
        registry_.find(session.caller, name, Right::consume, Right::consume | Right::manage);
    if (!queue) return std::unexpected(queue.error());
    supervisor_.attend(**queue);  // so that every lease was seen
    auto messages = supervisor_.pending(**queue, after, wire::pending_page + 1);
    Reply reply;
    if (messages.size() > wire::pending_page) {
        messages.pop_back();
        reply.parameters["more"] = true;
    }
    wire::Json list = wire::Json::array();
    for (const wire::Pending& message : messages)
        list.push_back(wire::to_json(message));
    reply.parameters["messages"] = std::move(list);
    return reply;
}

wire::Outcome<Reply> Methods::settle(Session& session, const wire::Call& call, wire::Frame&) {
    const auto settle = read_settle(call);
    if (!settle) return std::unexpected(settle.error());
    const auto found = registry_.find(session.caller, settle->name, Right::manage, Right::manage);
    if (!found) return std::unexpected(found.error());
    Queue& queue = **found;
    if (queue.quarantined()) {
        return std::unexpected(wire::quarantined(queue.name(), queue.quarantine_reason()));
    }
    DeadLetters::Redriven outcome;
    if (settle->verb == wire::SettleVerb::redrive) {
        outcome = dead_letters_.redrive(session.caller, queue, settle->sequences, settle->to);
    } else {
        for (const std::uint64_t sequence : settle->sequences) {
            std::string why_not = settle_one(queue, *settle, sequence, monotonic_now());
            if (why_not.empty()) {
                ++outcome.done;
            } else {
                outcome.refused.push_back({sequence, std::move(why_not)});
            }
        }
        queue.check_damage("a settlement by hand");
    }
    supervisor_.attend(queue);
    log().info("queue {}: {} by uid {} (pid {}): {} messages, {} refused", queue.name(),
               wire::settle_verb_token(settle->verb), session.caller.uid, session.caller.pid,
               outcome.done, outcome.refused.size());
    Reply reply;
    wire::Json refused = wire::Json::array();
    for (const wire::Refusal& refusal : outcome.refused)
        refused.push_back(wire::to_json(refusal));
    reply.parameters = {{"done", outcome.done}, {"refused", std::move(refused)}};
    return reply;
}

wire::Outcome<Reply> Methods::release(Session& session, const wire::Call& call, wire::Frame&) {
    std::uint32_t pid = 0;
    std::string name;
    wire::Members members(call.parameters);
    members.require("pid", pid);
    members.take("name", name);
    if (pid == 0) members.refuse("pid", "0 is nobody");
    if (auto failure = members.finish()) return std::unexpected(*failure);
    if (!name.empty()) {
        const auto queue = registry_.find(session.caller, name, Right::manage, Right::manage);
        if (!queue) return std::unexpected(queue.error());
    }
    const std::uint64_t released =
        supervisor_.release(static_cast<pid_t>(pid), [&](const Queue& queue) {
            return name.empty() ? may(session.caller, queue.ownership(), Right::manage)
                                : queue.name() == name;
        });
    log().info("released by uid {} (pid {}): {} messages of process {}", session.caller.uid,
               session.caller.pid, released, pid);
    Reply reply;
    reply.parameters = {{"released", released}};
    return reply;
}

wire::Outcome<Reply> Methods::edit(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    Registry::Edit edit;
    wire::Members members(call.parameters);
    members.require("name", name);
    const wire::Json* options = members.require_any("options");
    members.take("owner", edit.owner);
    const wire::Json* clear = members.take_any("clear");
    if (clear != nullptr && !clear->is_array()) members.refuse("clear", "is no list");
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const auto wanted = wire::options_from_json(*options);
    if (!wanted) return std::unexpected(wanted.error());
    edit.wanted = *wanted;
    for (const wire::Json& option : clear != nullptr ? *clear : wire::Json::array()) {
        if (!option.is_string())
            return std::unexpected(
                wire::invalid_parameter("clear", "has something that is no name"));
        edit.clear.push_back(option.get<std::string>());
    }
    const auto queue = registry_.edit(session.caller, name, edit);
    if (!queue) return std::unexpected(unless_recovering(name, queue.error()));
    supervisor_.attend(**queue);  // what is due may be due at another time
    Reply reply;
    reply.parameters = {{"queue", wire::to_json((*queue)->describe())}};
    return reply;
}

wire::Outcome<Reply> Methods::pause(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    std::optional<bool> producers;
    std::optional<bool> consumers;
    wire::Members members(call.parameters);
    members.require("name", name);
    members.take("producers", producers);
    members.take("consumers", consumers);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const auto queue = registry_.pause(session.caller, name, producers, consumers);
    if (!queue) return std::unexpected(unless_recovering(name, queue.error()));
    Reply reply;
    reply.parameters = {{"queue", wire::to_json((*queue)->describe())}};
    return reply;
}

}  // namespace shmq::daemon

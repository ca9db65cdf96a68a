// The calls by which operators look at single messages and settle them.
#include "client/answers.hpp"
#include "client/guarded.hpp"
#include "client/session.hpp"
#include "client/session_link.hpp"

namespace shmq {
namespace {

Result<void> check(std::string_view name) {
    const std::string wrong = check_queue_name(name);
    if (!wrong.empty()) return Error(Condition::invalid_argument, wrong);
    return {};
}

}  // namespace

Result<std::vector<wire::Pending>> Session::pending(std::string_view name) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<std::vector<wire::Pending>> {
        if (auto valid = check(name); !valid) return valid.error();
        std::vector<wire::Pending> all;
        bool more = true;
        while (more) {
            Link::Request request{wire::method::pending, std::string(name)};
            if (!all.empty()) request.parameters["after"] = all.back().sequence;
            auto reply = link_->call(request);
            if (!reply) return reply.error();
            more = false;
            wire::Members members(reply->parameters);
            const wire::Json* page = members.require_any("messages");
            members.take("more", more);
            if (auto failure = members.finish(wire::Unknown::ignore)) {
                return bad_answer(link_->asked(request), *failure);
            }
            if (!page->is_array() || (more && page->empty())) {
                return bad_answer(link_->asked(request),
                                  "messages is no list, or ends without end");
            }
            for (const wire::Json& json : *page) {
                auto one = wire::pending_from_json(json, "messages", wire::Unknown::ignore);
                if (!one) return bad_answer(link_->asked(request), one.error());
                all.push_back(std::move(*one));
            }
        }
        return all;
    });
}

Result<Session::Settled> Session::settle(std::string_view name, wire::SettleVerb verb,
                                         const std::vector<std::uint64_t>& sequences,
                                         std::uint64_t time_ns, std::string_view to) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<Settled> {
        if (auto valid = check(name); !valid) return valid.error();
        Link::Request request{wire::method::settle, std::string(name)};
        request.parameters["verb"] = wire::settle_verb_token(verb);
        request.parameters["sequences"] = sequences;
        if (time_ns != 0) request.parameters["time"] = time_ns;
        if (!to.empty()) request.parameters["to"] = to;
        request.repeatable = false;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        Settled settled;
        wire::Members members(reply->parameters);
        members.require("done", settled.done);
        const wire::Json* refused = members.require_any("refused");
        if (auto failure = members.finish(wire::Unknown::ignore)) {
            return bad_answer(link_->asked(request), *failure);
        }
        if (!refused->is_array()) return bad_answer(link_->asked(request), "refused is no list");
        for (const wire::Json& json : *refused) {
            auto refusal = wire::refusal_from_json(json);
            if (!refusal) return bad_answer(link_->asked(request), refusal.error());
            settled.refused.push_back(std::move(*refusal));
        }
        return settled;
    });
}

Result<std::uint64_t> Session::release(std::uint32_t pid, std::string_view name) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<std::uint64_t> {
        Link::Request request{wire::method::release, std::string(name)};
        request.parameters["pid"] = pid;
        request.repeatable = false;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        std::uint64_t released = 0;
        wire::Members members(reply->parameters);
        members.require("released", released);
        if (auto failure = members.finish(wire::Unknown::ignore)) {
            return bad_answer(link_->asked(request), *failure);
        }
        return released;
    });
}

}  // namespace shmq

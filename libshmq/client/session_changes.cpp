// The calls by which managers change a queue that exists.
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

Result<void> Session::edit(std::string_view name, const QueueChanges& changes) noexcept {
    return guarded([&]() -> Result<void> {
        wire::Options wanted;
        std::vector<std::string> clear;
        const auto number = [&](std::uint64_t& into, std::int64_t value, const char* option) {
            if (value == 0) clear.emplace_back(option);
            into = static_cast<std::uint64_t>(value);
        };
        const auto time = [&](auto value, std::uint64_t& into, const char* option) -> Result<void> {
            if (!value) return {};
            if (value->count() < 0) {
                return Error(Condition::invalid_argument, std::string(option) + " is negative");
            }
            number(into, value->count(), option);
            return {};
        };
        if (changes.lease && changes.lease->count() <= 0) {
            return Error(Condition::invalid_argument, "lease must be 10 ms to 7 days");
        }
        if (changes.lease) wanted.lease_ns = static_cast<std::uint64_t>(changes.lease->count());
        if (changes.in_flight == 0U) {
            return Error(Condition::invalid_argument, "in_flight must be 1 at least");
        }
        wanted.in_flight = changes.in_flight.value_or(0);
        wanted.max_deliveries = changes.max_deliveries;
        wanted.dead_letter = changes.dead_letter;
        if (auto said = time(changes.retry_delay, wanted.retry_delay_ns, "retry_delay"); !said)
            return said;
        if (auto said = time(changes.retry_delay_max, wanted.retry_delay_max_ns, "retry_delay_max");
            !said) {
            return said;
        }
        wanted.pause_stopped = changes.pause_stopped;
        wanted.mode = changes.mode;
        wanted.group = changes.group;
        if (changes.overflow) wanted.overflow = static_cast<wire::Overflow>(*changes.overflow);
        if (changes.spill_limit == std::uint64_t{0}) clear.emplace_back("spill_limit");
        wanted.spill_limit = changes.spill_limit.value_or(0);
        if (changes.when_full) wanted.when_full = static_cast<wire::WhenFull>(*changes.when_full);
        return edit(name, wanted, changes.owner, clear);
    });
}

Result<void> Session::edit(std::string_view name, const wire::Options& wanted,
                           std::optional<std::uint32_t> owner,
                           const std::vector<std::string>& clear) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<void> {
        if (auto valid = check(name); !valid) return valid.error();
        Link::Request request{wire::method::edit, std::string(name)};
        request.parameters["options"] = wire::to_json(wanted);
        if (owner) request.parameters["owner"] = *owner;
        if (!clear.empty()) request.parameters["clear"] = clear;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        return {};
    });
}

Result<void> Session::pause(std::string_view name, Side side, bool paused) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<void> {
        if (auto valid = check(name); !valid) return valid.error();
        Link::Request request{wire::method::pause, std::string(name)};
        if (side != Side::consumers) request.parameters["producers"] = paused;
        if (side != Side::producers) request.parameters["consumers"] = paused;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        return {};
    });
}

}  // namespace shmq

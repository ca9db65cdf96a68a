#include "client/session.hpp"

#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/check.hpp"
#include "base/limits.hpp"
#include "client/answers.hpp"
#include "client/endpoint.hpp"
#include "client/guarded.hpp"
#include "client/session_link.hpp"
#include "shm/queue.hpp"

namespace shmq {
namespace {

// How long a segment may be without its ready word: the daemon hands out none before, so this is
// only ever seen while memory becomes visible, or with a daemon that is not ours.
constexpr Nanoseconds ready_patience_ns = nanoseconds_per_second;
constexpr Nanoseconds ready_pause_ns = nanoseconds_per_millisecond;

Result<void> check_name(std::string_view name) {
    std::string problem = wire::check_name(name);
    if (problem.empty()) return {};
    return Error(Condition::invalid_argument, std::move(problem));
}

Error attach_error(const std::string& queue, const shm::AttachFailure& failure) {
    const std::string text = "queue '" + queue + "': ";
    switch (failure.status) {
        case shm::AttachStatus::incompatible:
            return {
                Condition::incompatible,
                text + failure.detail + "; use the same version of shmq for daemon and library"};
        case shm::AttachStatus::corrupt:
            return {Condition::corrupt, text + "its shared memory is no sound segment: " +
                                            failure.detail + "; remove the queue with force"};
        case shm::AttachStatus::not_ready:
            return {Condition::protocol_error,
                    text + "the daemon handed out a segment that it does not finish"};
        case shm::AttachStatus::attached:
        case shm::AttachStatus::no_memory:
            break;
    }
    return {Condition::system_error,
            text + "its shared memory cannot be mapped: " + failure.detail +
                "; look at the limits of memory and open files (`ulimit -a`)",
            failure.os_error};
}

// Tries again while the segment is not ready, each time with descriptors of its own.
Result<std::unique_ptr<shm::Segment>> map_segment(const std::string& queue, const Fd& ring,
                                                  const Fd& pool, shm::Access access) {
    const Nanoseconds deadline = deadline_after(monotonic_now(), ready_patience_ns);
    while (true) {
        Fd ring_copy = ring.duplicate();
        Fd pool_copy = pool ? pool.duplicate() : Fd();
        if (!ring_copy || (pool && !pool_copy)) {
            return attach_error(queue, {shm::AttachStatus::no_memory, errno, "out of descriptors"});
        }
        shm::AttachFailure failure;
        auto segment =
            shm::Segment::attach(std::move(ring_copy), std::move(pool_copy), access, failure);
        if (segment != nullptr) return segment;
        if (failure.status != shm::AttachStatus::not_ready ||
            !sleep_before(deadline, ready_pause_ns)) {
            return attach_error(queue, failure);
        }
    }
}

// An answer to Attach as we need it.
struct AttachAnswer {
    std::uint16_t number = 0;
    bool exclusive = false;
    std::uint32_t in_flight = 0;
    Fd ring;
    Fd pool;
};

Result<AttachAnswer> read_attach(wire::Frame& frame, const wire::Json& parameters,
                                 const Asked& asked) {
    AttachAnswer answer;
    std::uint64_t ring = 0;
    std::optional<std::uint64_t> pool;
    wire::Members members(parameters);
    members.require("participant", answer.number);
    members.require("exclusive", answer.exclusive);
    members.require("in_flight", answer.in_flight);
    members.require("ring", ring);
    members.take("pool", pool);
    if (auto failure = members.finish(wire::Unknown::ignore)) return bad_answer(asked, *failure);
    answer.ring = frame.take_descriptor(ring);
    if (!answer.ring) return bad_answer(asked, "the descriptor of the ring is missing");
    if (pool) answer.pool = frame.take_descriptor(*pool);
    if (pool && !answer.pool) return bad_answer(asked, "the descriptor of the pool is missing");
    return answer;
}

wire::Role wire_role(shm::Access access) {
    switch (access) {
        case shm::Access::producer:
            return wire::Role::producer;
        case shm::Access::consumer:
            return wire::Role::consumer;
        default:
            return wire::Role::observer;
    }
}

}  // namespace

Session::Session(std::shared_ptr<Link> link) noexcept : link_(std::move(link)) {}

Session::~Session() {
    if (forked()) {
        link_->close_in_child();
    } else {
        link_->leave();
    }
}

Result<std::shared_ptr<Session>> Session::connect(const ConnectOptions& options) noexcept {
    return guarded([&]() -> Result<std::shared_ptr<Session>> {
        auto link = Link::open(options);
        if (!link) return link.error();
        return std::shared_ptr<Session>(new Session(std::move(*link)));
    });
}

Result<bool> Session::create(std::string_view name, const QueueOptions& options,
                             bool if_missing) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<bool> {
        if (auto valid = check_name(name); !valid) return valid.error();
        auto wanted = options_to_wire(options);
        if (!wanted) return wanted.error();
        Link::Request request{wire::method::create, std::string(name)};
        request.parameters = {{"options", wire::to_json(*wanted)}, {"if_missing", if_missing}};
        request.repeatable = if_missing;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        bool created = false;
        wire::Members members(reply->parameters);
        members.require("created", created);
        if (auto failure = members.finish(wire::Unknown::ignore)) {
            return bad_answer(link_->asked(request), *failure);
        }
        return created;
    });
}

Result<QueueInfo> Session::describe(std::string_view name) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<QueueInfo> {
        if (auto valid = check_name(name); !valid) return valid.error();
        const Link::Request request{wire::method::describe, std::string(name)};
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        auto queue =
            wire::queue_from_json(reply->parameters["queue"], "queue", wire::Unknown::ignore);
        if (!queue) return bad_answer(link_->asked(request), queue.error());
        return info_from_wire(*queue);
    });
}

Result<std::vector<QueueInfo>> Session::list() noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<std::vector<QueueInfo>> {
        std::vector<QueueInfo> queues;
        bool more = true;
        while (more) {
            Link::Request request{wire::method::list};
            const std::string last = queues.empty() ? "" : queues.back().name;
            if (!last.empty()) request.parameters["after"] = last;
            auto reply = link_->call(request);
            if (!reply) return reply.error();
            more = false;
            wire::Members members(reply->parameters);
            const wire::Json* page = members.require_any("queues");
            members.take("more", more);
            if (auto failure = members.finish(wire::Unknown::ignore)) {
                return bad_answer(link_->asked(request), *failure);
            }
            if (!page->is_array()) return bad_answer(link_->asked(request), "queues is no list");
            for (const wire::Json& json : *page) {
                auto queue = wire::queue_from_json(json, "queues", wire::Unknown::ignore);
                if (!queue) return bad_answer(link_->asked(request), queue.error());
                // Each page begins after the last: else we would ask for ever.
                if (!queues.empty() && queue->name <= queues.back().name) {
                    return bad_answer(link_->asked(request), "queues are not sorted by name");
                }
                queues.push_back(info_from_wire(*queue));
            }
            if (more && page->empty()) {
                return bad_answer(link_->asked(request), "more queues, but none in this answer");
            }
        }
        return queues;
    });
}

Result<void> Session::remove(std::string_view name, bool force) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<void> {
        if (auto valid = check_name(name); !valid) return valid.error();
        Link::Request request{wire::method::remove, std::string(name)};
        request.parameters["force"] = force;
        request.repeatable = false;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        return {};
    });
}

Result<std::uint64_t> Session::purge(std::string_view name) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<std::uint64_t> {
        if (auto valid = check_name(name); !valid) return valid.error();
        Link::Request request{wire::method::purge, std::string(name)};
        request.repeatable = false;
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        std::uint64_t purged = 0;
        wire::Members members(reply->parameters);
        members.require("purged", purged);
        if (auto failure = members.finish(wire::Unknown::ignore)) {
            return bad_answer(link_->asked(request), *failure);
        }
        return purged;
    });
}

Result<DaemonInfo> Session::status() noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<DaemonInfo> {
        const Link::Request request{wire::method::status};
        auto reply = link_->call(request);
        if (!reply) return reply.error();
        DaemonInfo info;
        std::uint64_t uptime = 0;
        wire::Members members(reply->parameters);
        members.require("pid", info.pid);
        members.require("version", info.version);
        members.require("socket", info.socket);
        members.require("queues", info.queues);
        members.require("sessions", info.sessions);
        members.require("uptime", uptime);
        members.require("deaths", info.deaths);
        members.require("reclaimed", info.reclaimed);
        members.take("restarts", info.restarts);
        members.take("adopted", info.adopted);
        members.take("recovering", info.recovering);
        members.take("state_directory", info.state_directory);
        members.take("alarm", info.alarm);
        if (auto failure = members.finish(wire::Unknown::ignore)) {
            return bad_answer(link_->asked(request), *failure);
        }
        info.uptime = std::chrono::nanoseconds(static_cast<std::int64_t>(uptime));
        return info;
    });
}

Result<Attachment> Session::attach_as(std::string_view name, shm::Access access,
                                      std::uint32_t in_flight) {
    if (auto valid = check_name(name); !valid) return valid.error();
    Link::Request request{wire::method::attach, std::string(name)};
    request.parameters["role"] = wire::role_token(wire_role(access));
    if (in_flight != 0) request.parameters["in_flight"] = in_flight;
    auto reply = link_->call_attach(request);
    if (!reply) return reply.error();
    const Asked asked = link_->asked(request);
    auto answer = read_attach(reply->frame, reply->parameters, asked);
    const bool observer = access == shm::Access::observer;
    if (answer && !observer &&
        (answer->number == 0 || answer->number >= limits::participants_max)) {
        return bad_answer(asked, "participant " + std::to_string(answer->number));
    }
    if (answer) {
        auto segment = map_segment(request.queue, answer->ring, answer->pool, access);
        if (segment) {
            return Result<Attachment>(std::in_place, Attachment{.segment = std::move(*segment),
                                                                .number = answer->number,
                                                                .exclusive = answer->exclusive,
                                                                .in_flight = answer->in_flight});
        }
        answer = segment.error();
    }
    // We are attached but cannot use it: give the number back.
    std::uint16_t number = 0;
    if (wire::Members(reply->parameters).take("participant", number)) {
        (void)link_->call_detach(request.queue, number);
    }
    return answer.error();
}

// The daemon writes down when it attached us: on one clock that was since `before`. Else the two
// differ, and we know by how much, to within the time that the call took.
Nanoseconds Session::clock_ahead(const Attachment& attachment, Nanoseconds before) {
    const shm::Segment& segment = *attachment.segment;
    const shm::QueueView view(segment.ring_base(), segment.pool_base(), segment.geometry());
    const auto attached_at = static_cast<Nanoseconds>(
        view.participants[attachment.number].attached_at.load(std::memory_order_relaxed));
    const Nanoseconds now = monotonic_now();
    // Twice the longest lease or delay never overflows, whatever somebody wrote there.
    constexpr Nanoseconds most = INT64_MAX / 4;
    if ((attached_at >= before && attached_at <= now) || attached_at < 0 || attached_at > most) {
        return 0;
    }
    return attached_at - (before + (now - before) / 2);
}

Result<Attachment> Session::attach(std::string_view name, shm::Role role,
                                   std::uint32_t in_flight) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&]() -> Result<Attachment> {
        SHMQ_CHECK(role == shm::Role::producer || role == shm::Role::consumer);
        const auto access =
            role == shm::Role::producer ? shm::Access::producer : shm::Access::consumer;
        const Nanoseconds before = monotonic_now();
        auto attachment = attach_as(name, access, in_flight);
        if (attachment) attachment->clock_ahead = clock_ahead(*attachment, before);
        return attachment;
    });
}

Result<Attachment> Session::observe(std::string_view name) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&] { return attach_as(name, shm::Access::observer, 0); });
}

Result<void> Session::detach(std::string_view name, std::uint16_t number) noexcept {
    if (forked()) return Condition::forked;
    return guarded([&] { return link_->call_detach(std::string(name), number); });
}

void Session::ring_doorbell() const noexcept {
    if (forked()) return;
    const std::uint64_t one = 1;
    // Full is rung, and a daemon that is gone looks for itself when it comes back.
    [[maybe_unused]] const ssize_t count = ::write(link_->doorbell(), &one, sizeof one);
}

const std::string& Session::socket() const noexcept {
    return link_->socket();
}

std::uint32_t Session::daemon_pid() const noexcept {
    return link_->daemon_pid();
}

}  // namespace shmq

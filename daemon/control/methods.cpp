#include "daemon/control/methods.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/version.hpp"
#include "daemon/control/identity.hpp"
#include "daemon/log.hpp"
#include "daemon/queue_journal.hpp"

namespace shmq::daemon {
namespace {

constexpr std::string_view service_interface_name = "org.varlink.service";
constexpr std::string_view service_interface_description =
    R"varlink(# The Varlink Service Interface is provided by every varlink service. It
# describes the service and the interfaces it implements.
interface org.varlink.service

method GetInfo() -> (
  vendor: string, product: string, version: string, url: string, interfaces: []string)
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
)varlink";

// The interface that a method's full name begins with.
std::string_view interface_of(std::string_view method) {
    const std::size_t dot = method.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : method.substr(0, dot);
}

// Reads the one parameter that most methods have.
wire::Outcome<std::string> only_name(const wire::Call& call) {
    std::string name;
    wire::Members members(call.parameters);
    members.require("name", name);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    return name;
}

// What needs to know all that a queue holds waits until its journal has been read.
std::optional<wire::Failure> unless_recovered(const Queue& queue) {
    if (!queue.recovering()) return std::nullopt;
    return wire::recovering(queue.name(), queue.recovery_progress());
}

std::optional<wire::Failure> no_parameters(const wire::Call& call) {
    return wire::Members(call.parameters).finish();
}

}  // namespace

struct Methods::Entry {
    std::string_view name;
    Method method;
    bool before_hello;
};

const Methods::Entry* Methods::find(std::string_view method) {
    static constexpr Entry entries[] = {
        {wire::method::hello, &Methods::hello, true},
        {wire::method::create, &Methods::create, false},
        {wire::method::describe, &Methods::describe, false},
        {wire::method::list, &Methods::list, false},
        {wire::method::remove, &Methods::remove, false},
        {wire::method::purge, &Methods::purge, false},
        {wire::method::edit, &Methods::edit, false},
        {wire::method::pause, &Methods::pause, false},
        {wire::method::status, &Methods::status, false},
        {wire::method::metrics, &Methods::metrics, false},
        {wire::method::attach, &Methods::attach, false},
        {wire::method::detach, &Methods::detach, false},
        {wire::method::reattach, &Methods::reattach, false},
        {wire::method::resumed, &Methods::resumed, false},
        {wire::method::pending, &Methods::pending, false},
        {wire::method::settle, &Methods::settle, false},
        {wire::method::release, &Methods::release, false},
        {wire::method::get_info, &Methods::get_info, true},
        {wire::method::get_interface_description, &Methods::get_interface_description, true},
    };
    for (const Entry& entry : entries) {
        if (entry.name == method) return &entry;
    }
    return nullptr;
}

wire::Outcome<Reply> Methods::run(Session& session, const wire::Call& call, wire::Frame& frame) {
    const Entry* entry = find(call.method);
    if (entry == nullptr) {
        const std::string_view interface = interface_of(call.method);
        if (interface == wire::interface_name || interface == service_interface_name) {
            return std::unexpected(wire::method_not_found(call.method));
        }
        return std::unexpected(wire::interface_not_found(interface));
    }
    if (call.more || call.upgrade)
        return std::unexpected(wire::method_not_implemented(call.method));
    if (!entry->before_hello && session.holder == nullptr) {
        return std::unexpected(wire::hello_expected());
    }
    return (this->*entry->method)(session, call, frame);
}

wire::Outcome<Reply> Methods::hello(Session& session, const wire::Call& call, wire::Frame& frame) {
    std::string client_version;
    std::optional<std::uint32_t> index;
    wire::Members members(call.parameters);
    members.require("version", client_version);
    members.take("pidfd", index);
    std::string key;
    members.take("session", key);
    if (session.holder != nullptr) members.refuse("version", "Hello was said already");
    if (auto failure = members.finish()) return std::unexpected(*failure);
    if (!wire::versions_agree(version_text(), client_version)) {
        log().warn("pid {} (uid {}) refused: its version is {}, this is {}", session.caller.pid,
                   session.caller.uid, log_quoted(client_version), version_text());
        return std::unexpected(wire::version_mismatch(version_text(), client_version));
    }
    Fd pidfd;
    if (index) {
        pidfd = frame.take_descriptor(*index);
        const std::string wrong =
            pidfd ? check_pidfd(pidfd.get(), session.caller.pid) : "no descriptor of that index";
        if (!wrong.empty()) return std::unexpected(wire::invalid_parameter("pidfd", wrong));
    } else {
        pidfd = open_peer_pidfd(session.socket, session.caller.pid);
    }
    Fd doorbell;
    bool resumed = false;
    auto holder = supervisor_.admit(session.caller, std::move(pidfd), key, doorbell, resumed);
    if (!holder) return std::unexpected(holder.error());
    session.holder = *holder;
    Reply reply;
    reply.parameters = {{"pid", ::getpid()},
                        {"version", version_text()},
                        {"segment_version", shm::segment_version},
                        {"instance", about_.instance},
                        {"doorbell", 0},
                        {"session", session.holder->key()},
                        {"resumed", resumed}};
    reply.descriptors.push_back(std::move(doorbell));
    return reply;
}

wire::Outcome<Reply> Methods::create(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    bool if_missing = false;
    wire::Members members(call.parameters);
    members.require("name", name);
    members.take("if_missing", if_missing);
    const wire::Json* json = members.require_any("options");
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const auto options = wire::options_from_json(*json);
    if (!options) return std::unexpected(options.error());
    if (const auto known = registry_.lookup(name); !known) {
        auto failure = unless_recovering(name, known.error());
        if (failure.error == wire::error::recovering) return std::unexpected(std::move(failure));
    }
    const auto created = registry_.create(session.caller, name, *options, if_missing);
    if (!created) return std::unexpected(created.error());
    Reply reply;
    reply.parameters = {{"queue", wire::to_json(created->queue->describe())},
                        {"created", created->created}};
    return reply;
}

wire::Outcome<Reply> Methods::describe(Session& session, const wire::Call& call, wire::Frame&) {
    const auto name = only_name(call);
    if (!name) return std::unexpected(name.error());
    const auto queue = registry_.find(session.caller, *name, Right::any, Right::any);
    if (!queue) return std::unexpected(unless_recovering(*name, queue.error()));
    Reply reply;
    reply.parameters = {{"queue", wire::to_json((*queue)->describe())}};
    return reply;
}

// A page at a time: an answer must fit a frame, and a look at every queue's ring must not keep the
// daemon from everybody else.
wire::Outcome<Reply> Methods::list(Session& session, const wire::Call& call, wire::Frame&) {
    constexpr std::size_t page_most = 256;
    std::string last;
    wire::Members members(call.parameters);
    members.take("after", last);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    Reply reply;
    wire::Json queues = wire::Json::array();
    for (const auto& queue : registry_.list(session.caller)) {
        if (queue->name() <= last) continue;
        if (queues.size() == page_most) {
            reply.parameters["more"] = true;
            break;
        }
        queues.push_back(wire::to_json(queue->describe()));
    }
    reply.parameters["queues"] = std::move(queues);
    return reply;
}

wire::Outcome<Reply> Methods::remove(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    bool force = false;
    wire::Members members(call.parameters);
    members.require("name", name);
    members.take("force", force);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const auto found = registry_.find(session.caller, name, Right::manage, Right::manage);
    if (!found) return std::unexpected(found.error());
    const std::shared_ptr<Queue> queue = *found;
    if (auto failure = unless_recovered(*queue); failure && !force)
        return std::unexpected(*failure);
    const std::uint64_t messages = queue->message_count();
    const std::uint64_t participants = queue->producers + queue->consumers;
    if (!force && (messages > 0 || participants > 0)) {
        return std::unexpected(wire::queue_in_use(name, messages, participants));
    }
    registry_.remove(queue);
    supervisor_.forget(*queue);
    log().info("queue {} removed by uid {} (pid {}): {} messages dropped, {} participants told",
               name, session.caller.uid, session.caller.pid, messages, participants);
    Reply reply;
    reply.parameters = {{"dropped", messages}};
    return reply;
}

wire::Outcome<Reply> Methods::purge(Session& session, const wire::Call& call, wire::Frame&) {
    const auto name = only_name(call);
    if (!name) return std::unexpected(name.error());
    const auto queue = registry_.find(session.caller, *name, Right::manage, Right::manage);
    if (!queue) return std::unexpected(queue.error());
    if ((*queue)->quarantined()) {
        return std::unexpected(wire::quarantined(*name, (*queue)->quarantine_reason()));
    }
    if (auto failure = unless_recovered(**queue)) return std::unexpected(*failure);
    std::uint64_t purged = (*queue)->supervise().purge();
    if ((*queue)->journal) purged += (*queue)->journal->purge();
    (*queue)->check_damage("a purge");
    log().info("queue {} purged by uid {} (pid {}): {} messages", *name, session.caller.uid,
               session.caller.pid, purged);
    Reply reply;
    reply.parameters = {{"purged", purged}};
    return reply;
}

wire::Outcome<Reply> Methods::status(Session&, const wire::Call& call, wire::Frame&) {
    if (auto failure = no_parameters(call)) return std::unexpected(*failure);
    Reply reply;
    reply.parameters = {{"pid", ::getpid()},
                        {"version", version_text()},
                        {"socket", about_.socket},
                        {"queues", registry_.size()},
                        {"sessions", session_count_},
                        {"uptime", monotonic_now() - about_.started_at},
                        {"deaths", supervisor_.deaths()},
                        {"reclaimed", supervisor_.messages_reclaimed()},
                        {"restarts", about_.restarts},
                        {"adopted", about_.adopted},
                        {"recovering", recovering_count_},
                        {"state_directory", about_.state_directory},
                        {"alarm", about_.alarm}};
    return reply;
}

wire::Outcome<Reply> Methods::attach(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    wire::Role role{};
    std::uint32_t in_flight = 0;
    wire::Members members(call.parameters);
    members.require("name", name);
    wire::require_role(members, "role", role);
    members.take("in_flight", in_flight);
    if (in_flight > limits::in_flight_max) {
        members.refuse("in_flight",
                       fmt::format("{} is more than {}", in_flight, limits::in_flight_max));
    }
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const Right right = role == wire::Role::producer ? Right::produce : Right::consume;
    const std::uint32_t rights =
        role == wire::Role::observer ? Right::consume | Right::manage : std::uint32_t{right};
    const auto queue = registry_.find(session.caller, name, right, rights);
    if (!queue) return std::unexpected(unless_recovering(name, queue.error()));
    if (auto failure = unless_recovered(**queue)) return std::unexpected(*failure);
    // Where it is out of service, the attach says so.
    Fd definition;
    if (role != wire::Role::observer && !(*queue)->quarantined()) {
        auto written = registry_.definition_for_client(**queue);
        if (!written) return std::unexpected(written.error());
        definition = std::move(*written);
    }
    auto attached = supervisor_.attach(*session.holder, *queue, role, in_flight);
    if (!attached) return std::unexpected(explained(attached.error(), name));
    Reply reply;
    reply.parameters = {{"participant", attached->number},
                        {"generation", attached->generation},
                        {"exclusive", attached->exclusive},
                        {"in_flight", attached->in_flight},
                        {"ring", 0}};
    reply.descriptors.push_back(std::move(attached->ring));
    if (attached->pool) {
        reply.parameters["pool"] = 1;
        reply.descriptors.push_back(std::move(attached->pool));
    }
    if (definition) {
        reply.parameters["definition"] = reply.descriptors.size();
        reply.descriptors.push_back(std::move(definition));
    }
    return reply;
}

wire::Outcome<Reply> Methods::detach(Session& session, const wire::Call& call, wire::Frame&) {
    std::string name;
    std::uint32_t number = 0;
    wire::Members members(call.parameters);
    members.require("name", name);
    members.require("participant", number);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    // No right is asked: who was let in may leave. The number must be one of this session's.
    const auto queue = registry_.lookup(name);
    if (!queue) return std::unexpected(queue.error());
    const auto detached = supervisor_.detach(*session.holder, *queue, number);
    if (!detached) return std::unexpected(detached.error());
    return Reply{};
}

// ---- Sessions that come back -------------------------------------------------------------------

wire::Failure Methods::unless_recovering(const std::string& name, wire::Failure failure) const {
    const bool may_come = failure.error == wire::error::queue_not_found && about_.awaits_memory;
    return may_come ? wire::recovering(name) : std::move(failure);
}

wire::Outcome<Reply> Methods::reattach(Session& session, const wire::Call& call,
                                       wire::Frame& frame) {
    std::uint32_t number = 0;
    std::uint32_t generation = 0;
    std::uint64_t definition = 0;
    std::uint64_t ring = 0;
    std::optional<std::uint64_t> pool;
    wire::Members members(call.parameters);
    members.require("participant", number);
    members.require("generation", generation);
    members.require("definition", definition);
    members.require("ring", ring);
    members.take("pool", pool);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    const Fd what = frame.take_descriptor(definition);
    Registry::Memory memory;
    memory.ring = frame.take_descriptor(ring);
    if (pool) memory.pool = frame.take_descriptor(*pool);
    if (!what || !memory.ring) {
        return std::unexpected(wire::definition_refused("a descriptor is missing"));
    }
    const auto queue = find_or_adopt(session, what, std::move(memory));
    if (!queue) return std::unexpected(queue.error());
    if (!supervisor_.reattach(*session.holder, *queue, number, generation)) {
        log().warn("queue {}: pid {} (uid {}) is not participant {} of generation {}",
                   (*queue)->name(), session.caller.pid, session.caller.uid, number, generation);
        return std::unexpected(wire::participant_gone((*queue)->name(), number));
    }
    Reply reply;
    reply.parameters = {{"name", (*queue)->name()}};
    return reply;
}

// No right is asked: who brings the ring has it already, and had the right when it got it.
wire::Outcome<std::shared_ptr<Queue>> Methods::find_or_adopt(const Session& session, const Fd& what,
                                                             Registry::Memory memory) {
    const auto definition = read_definition(what.get());
    if (!definition) {
        log().warn("pid {} (uid {}) brings a queue that is refused: {}", session.caller.pid,
                   session.caller.uid, definition.error().reason);
        return std::unexpected(wire::definition_refused(definition.error().reason));
    }
    const auto known = registry_.lookup(definition->name);
    if (known && (*known)->identity() == definition->identity) {
        if (inode_of(memory.ring.get()) == inode_of((*known)->segment().ring_fd())) return *known;
        return std::unexpected(wire::definition_refused("the ring is not this queue's"));
    }
    // Made by somebody who did not know, and used by nobody: the older one has the messages.
    if (known && !(*known)->recovering() && (*known)->producers + (*known)->consumers == 0 &&
        (*known)->message_count() == 0) {
        log().warn("queue {}: an empty one makes room for the one that a client brings back",
                   definition->name);
        registry_.remove(*known);
        supervisor_.forget(**known);
    }
    const auto queue = registry_.adopt(*definition, std::move(memory));
    if (!queue) {
        log().error("pid {} (uid {}) brings back queue {}, which cannot be taken over: {}",
                    session.caller.pid, session.caller.uid, definition->name, queue.error());
        return std::unexpected(wire::definition_refused(queue.error()));
    }
    supervisor_.adopt_strays(*queue);
    const Supervisor::Census census = supervisor_.settle(*queue);
    about_.adopted += 1;
    log().info("queue {} brought back by pid {} (uid {}): {} messages, {} participants",
               (*queue)->name(), session.caller.pid, session.caller.uid, (*queue)->message_count(),
               census.kept);
    return *queue;
}

wire::Outcome<Reply> Methods::resumed(Session& session, const wire::Call& call, wire::Frame&) {
    if (auto failure = no_parameters(call)) return std::unexpected(*failure);
    Reply reply;
    reply.parameters = {{"detached", supervisor_.finish_resume(*session.holder)}};
    return reply;
}

wire::Outcome<Reply> Methods::get_info(Session&, const wire::Call& call, wire::Frame&) {
    if (auto failure = no_parameters(call)) return std::unexpected(*failure);
    Reply reply;
    reply.parameters = {{"vendor", "shmq"},
                        {"product", "shmqd"},
                        {"version", version_text()},
                        {"url", ""},
                        {"interfaces", {service_interface_name, wire::interface_name}}};
    return reply;
}

wire::Outcome<Reply> Methods::get_interface_description(Session&, const wire::Call& call,
                                                        wire::Frame&) {
    std::string interface;
    wire::Members members(call.parameters);
    members.require("interface", interface);
    if (auto failure = members.finish()) return std::unexpected(*failure);
    std::string_view description;
    if (interface == wire::interface_name) description = wire::interface_description;
    if (interface == service_interface_name) description = service_interface_description;
    if (description.empty()) return std::unexpected(wire::interface_not_found(interface));
    Reply reply;
    reply.parameters = {{"description", description}};
    return reply;
}

}  // namespace shmq::daemon

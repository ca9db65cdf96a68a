// A session that goes on with another daemon: what it carries for that, and bringing it back.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "client/daemon_start.hpp"
#include "client/endpoint.hpp"
#include "client/guarded.hpp"
#include "client/session_link.hpp"

namespace shmq {
namespace {

// One try of the thread's: it has other sessions to look after.
constexpr Nanoseconds try_time_ns = nanoseconds_per_second;
// So long nobody listens where we may start a daemon ourselves: its keeper would have by then.
constexpr Nanoseconds start_after_ns = nanoseconds_per_second;

bool same_file(const Fd& one, const Fd& other) {
    struct stat first {};
    struct stat second {};
    return ::fstat(one.get(), &first) == 0 && ::fstat(other.get(), &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

// ---- What is carried ---------------------------------------------------------------------------

Result<Session::Link::Reply> Session::Link::call_attach(Request request) {
    const std::lock_guard lock(mutex_);
    auto reply = call_locked(request);
    std::uint16_t number = 0;
    if (reply && wire::Members(reply->parameters).take("participant", number) && number != 0) {
        hold(request.queue, number, *reply);
    }
    return reply;
}

Result<void> Session::Link::call_detach(const std::string& queue, std::uint16_t number) {
    {
        const std::lock_guard lock(attached_mutex_);
        if (attached_.erase({queue, number}) == 0 || bringing_back_) return {};
    }
    const std::lock_guard lock(mutex_);
    // Without a connection nothing is sent: what a session does not bring back is detached.
    if (!channel_) return {};
    Request request{wire::method::detach, queue};
    request.parameters["participant"] = number;
    Try reply = attempt(request, deadline());
    if (reply && !*reply) return reply->error();
    return {};
}

void Session::Link::hold(const std::string& queue, std::uint16_t number, Reply& reply) {
    Held held;
    wire::Members(reply.parameters).take("generation", held.generation);
    {
        const std::lock_guard lock(attached_mutex_);
        held.carried = carry(queue, reply);
        attached_[{queue, number}] = std::move(held);
    }
    ever_attached_ = true;
    keep_connected(shared_from_this());
}

// Copies, for the handles close theirs; one set for all participants in a queue, with what the
// daemon said last that the queue is. Out of descriptors or with a daemon that gives none, the
// session carries nothing, and only a keeper can help.
std::shared_ptr<Session::Link::Carried> Session::Link::carry(const std::string& queue,
                                                             Reply& reply) {
    const auto copy = [&](const char* member) {
        std::uint64_t index = 0;
        const bool said = wire::Members(reply.parameters).take(member, index);
        if (!said || index >= reply.frame.descriptors.size()) return Fd();
        return reply.frame.descriptors[index].duplicate();
    };
    auto carried = std::make_shared<Carried>();
    carried->definition = copy("definition");
    carried->ring = copy("ring");
    if (!carried->definition || !carried->ring) return nullptr;
    for (const auto& [who, held] : attached_) {
        if (who.first != queue || held.carried == nullptr ||
            !same_file(held.carried->ring, carried->ring)) {
            continue;
        }
        held.carried->definition = std::move(carried->definition);
        return held.carried;
    }
    carried->pool = copy("pool");
    return carried;
}

// ---- Coming back -------------------------------------------------------------------------------

Result<void> Session::Link::restore(Nanoseconds deadline, bool& again) {
    auto socket = connect_socket(socket_, deadline);
    if (!socket) {
        const int number = socket.error();
        again = number == ENOENT || number == ECONNREFUSED || number == EAGAIN;
        const bool waited = lost_at_ != 0 && monotonic_now() - lost_at_ > start_after_ns;
        if (again && own_ && waited) {
            if (auto started = start_daemon(*own_, deadline)) {
                return begin(std::move(*started), deadline);
            }
        }
        return Error(Condition::no_daemon, "no daemon answers on " + socket_, number);
    }
    auto begun = begin(std::move(*socket), deadline);
    again = !begun && cut_off_;
    return begun;
}

// Everything that this session still has; the daemon takes back what else it knows of it.
Result<void> Session::Link::bring_back(Nanoseconds deadline) {
    {
        const std::lock_guard lock(attached_mutex_);
        if (attached_.empty() && !resumed_) {
            bringing_back_ = false;
            return {};
        }
    }
    return bring_back_all(deadline);
}

// True from before the Hello on, for that may wait long for its answer.
void Session::Link::set_bringing_back(bool now) {
    const std::lock_guard lock(attached_mutex_);
    bringing_back_ = now;
}

Result<void> Session::Link::bring_back_all(Nanoseconds deadline) {
    std::map<Participant, Held> all;
    {
        const std::lock_guard lock(attached_mutex_);
        all = attached_;
    }
    std::set<Participant> brought;
    for (const auto& [who, held] : all) {
        auto taken = bring_back_one(who, held, deadline);
        if (!taken) return taken.error();
        if (*taken) {
            brought.insert(who);
        } else {
            // A queue that was removed meanwhile: its handles are told by its memory.
            const std::lock_guard lock(attached_mutex_);
            attached_.erase(who);
        }
    }
    auto resumed = ask({wire::method::resumed}, {}, deadline);
    if (!resumed) return resumed.error();
    while (const auto gone = next_left_behind(brought)) {
        Request request{wire::method::detach, gone->first};
        request.parameters["participant"] = gone->second;
        auto detached = ask(request, {}, deadline);
        if (!detached) return detached.error();
    }
    ring_bell();
    return {};
}

// What was brought back, and whose handle was closed since. Once there is none, it is told by those
// who close handles.
std::optional<Session::Link::Participant> Session::Link::next_left_behind(
    std::set<Participant>& brought) {
    const std::lock_guard lock(attached_mutex_);
    for (auto place = brought.begin(); place != brought.end(); ++place) {
        if (attached_.contains(*place)) continue;
        const Participant gone = *place;
        brought.erase(place);
        return gone;
    }
    bringing_back_ = false;
    return {};
}

Result<bool> Session::Link::bring_back_one(const Participant& who, const Held& held,
                                           Nanoseconds deadline) {
    if (held.carried == nullptr) return false;
    Request request{wire::method::reattach};
    request.parameters = {{"participant", who.second}, {"generation", held.generation}};
    wire::Frame frame;
    const auto add = [&](const char* member, const Fd& descriptor) {
        if (!descriptor) return;
        request.parameters[member] = frame.descriptors.size();
        frame.descriptors.push_back(descriptor.duplicate());
    };
    add("definition", held.carried->definition);
    add("ring", held.carried->ring);
    add("pool", held.carried->pool);
    auto answer = ask(request, std::move(frame), deadline);
    if (!answer) return answer.error();
    return answer->parameters.contains("name");
}

// An answer that is an error comes back as one without parameters: what it means is the caller's.
Result<Session::Link::Reply> Session::Link::ask(const Request& request, wire::Frame frame,
                                                Nanoseconds deadline) {
    Try answer = exchange(request, std::move(frame), deadline);
    cut_off_ = !answer;
    if (!answer) return bad_answer(asked(request), "it hung up");
    if (*answer) return std::move(**answer);
    const bool late = answer->condition() == Condition::timed_out;
    if (late || !channel_) return answer->error();
    return Reply{};
}

// What was rung while nobody listened, or between two bells, is rung again.
void Session::Link::ring_bell() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t count = ::write(doorbell_.get(), &one, sizeof one);
}

bool Session::Link::hung_up() {
    char byte = 0;
    const ssize_t count = ::recv(channel_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
}

bool Session::Link::reconnect() noexcept {
    return guarded([&]() -> Result<void> {
               // A call that is under way notices by itself.
               const std::unique_lock lock(mutex_, std::try_to_lock);
               if (!lock.owns_lock()) return Condition::timed_out;
               if (channel_ && !hung_up()) return {};
               if (channel_) drop();
               if (finished_) return {};
               bool again = false;
               auto restored = restore(deadline_after(monotonic_now(), try_time_ns), again);
               const std::lock_guard also(attached_mutex_);
               if (restored && leaving_) {
                   finished_ = true;
                   drop();
               }
               return restored;
           })
        .ok();
}

void Session::Link::leave() {
    {
        const std::lock_guard lock(attached_mutex_);
        leaving_ = true;
        attached_.clear();
        if (bringing_back_) return;
    }
    const std::lock_guard lock(mutex_);
    // Nothing is owed to a daemon that is there, or that never gave out a number to us.
    if (channel_ || !ever_attached_) {
        finished_ = true;
        drop();
    }
    look_at_connections();
}

void Session::Link::close_in_child() {
    channel_.reset();
    doorbell_.reset();
    attached_.clear();
}

}  // namespace shmq

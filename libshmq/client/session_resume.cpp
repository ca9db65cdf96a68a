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
    const std::lock_guard lock(mutex_);
    // Without a connection nothing is sent: what a session does not bring back is detached.
    if (attached_.erase({queue, number}) == 0 || !channel_) return {};
    Request request{wire::method::detach, queue};
    request.parameters["participant"] = number;
    Try reply = attempt(request, deadline());
    if (reply && !*reply) return reply->error();
    return {};
}

void Session::Link::hold(const std::string& queue, std::uint16_t number, Reply& reply) {
    Held held;
    wire::Members(reply.parameters).take("generation", held.generation);
    held.carried = carry(queue, reply);
    attached_[{queue, number}] = std::move(held);
    ever_attached_ = true;
    keep_connected(shared_from_this());
}

// Copies, for the handles close theirs; one set for all participants in a queue. Out of descriptors
// or with a daemon that gives none, the session carries nothing, and only a keeper can help.
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
    if (!carried->definition) return nullptr;
    for (const auto& [who, held] : attached_) {
        if (who.first == queue && held.carried != nullptr &&
            same_file(held.carried->definition, carried->definition)) {
            return held.carried;
        }
    }
    carried->ring = copy("ring");
    carried->pool = copy("pool");
    return carried->ring ? carried : nullptr;
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
    if (attached_.empty() && !resumed_) return {};
    for (auto place = attached_.begin(); place != attached_.end();) {
        const auto& [queue, number] = place->first;
        const Held& held = place->second;
        Request request{wire::method::reattach};
        wire::Frame frame;
        const auto attach_descriptor = [&](const char* member, const Fd& descriptor) {
            if (!descriptor) return;
            request.parameters[member] = frame.descriptors.size();
            frame.descriptors.push_back(descriptor.duplicate());
        };
        bool brought = held.carried != nullptr;
        if (brought) {
            request.parameters["participant"] = number;
            request.parameters["generation"] = held.generation;
            attach_descriptor("definition", held.carried->definition);
            attach_descriptor("ring", held.carried->ring);
            attach_descriptor("pool", held.carried->pool);
            Try answer = exchange(request, std::move(frame), deadline);
            cut_off_ = !answer;
            if (!answer) return bad_answer(asked(request), "it hung up");
            if (!*answer && answer->condition() == Condition::timed_out) return answer->error();
            brought = answer->ok();
        }
        // A queue that was removed meanwhile: its handles are told by its memory.
        place = brought ? std::next(place) : attached_.erase(place);
    }
    const Request request{wire::method::resumed};
    Try answer = exchange(request, {}, deadline);
    cut_off_ = !answer;
    if (!answer) return bad_answer(asked(request), "it hung up");
    if (!*answer && answer->condition() == Condition::timed_out) return answer->error();
    ring_bell();
    return {};
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
               if (restored && leaving_) {
                   finished_ = true;
                   drop();
               }
               return restored;
           })
        .ok();
}

void Session::Link::leave() {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
    // Nothing is owed to a daemon that is there; and one that never gave out a number to us, or
    // never comes back, needs nothing of us.
    const bool owes = !channel_ && ever_attached_;
    attached_.clear();
    if (!owes) {
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

#include "daemon/supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.hpp"
#include "daemon/control/identity.hpp"
#include "daemon/events.hpp"
#include "daemon/log.hpp"
#include "daemon/process.hpp"
#include "daemon/queue_journal.hpp"
#include "daemon/random_identity.hpp"

namespace shmq::daemon {
namespace {

// A process that is killed closes its descriptors an instant before its pidfd says that it is dead.
// So long a hang-up waits to be one, lest every death were taken for a hang-up first.
// Longer while the kernel says that it is about to end: on a busy machine that takes its time.
constexpr Nanoseconds hang_up_grace_ns = 2 * nanoseconds_per_millisecond;
constexpr int hang_up_grace_rounds_most = 500;

// Time that one death may take of a round. What is left waits for the next: a process with a
// thousand participants in huge rings must not keep the daemon from everybody else.
constexpr Nanoseconds give_back_time_max_ns = 5 * nanoseconds_per_millisecond;

bool has_ended(int pidfd) {
    pollfd watched{pidfd, POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0;
}

}  // namespace

Supervisor::~Supervisor() {
    SHMQ_CHECK(holders_.empty());
}

wire::Outcome<Holder*> Supervisor::admit(const Caller& caller, Fd pidfd, const std::string& key,
                                         Fd& doorbell, bool& resumed) {
    // Nobody reads this eventfd: its edges say all, and a read could be made to block by a peer,
    // who shares the description and may take O_NONBLOCK away.
    Fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    doorbell = bell.duplicate();
    if (!bell || !doorbell) return std::unexpected(wire::system_error("eventfd", errno));
    Holder* known = key.empty() ? nullptr : find_holder(key);
    resumed = known != nullptr && is_known_as(*known, caller);
    if (resumed && known->connected_) {
        return std::unexpected(
            wire::system_error("resume", EBUSY, "the session is still connected"));
    }
    Holder& holder = resumed ? *known : add_holder(caller, std::move(pidfd));
    holder.connected_ = true;
    holder.doorbell_ = std::move(bell);
    if (resumed) {
        timers_.disarm(holder.grace_);
        holder.caller_ = caller;
        for (Participant& participant : holder.participants_)
            participant.brought_back = false;
    }
    io_.watch(holder.ring_, holder.doorbell_.get(), POLLIN, Priority::request,
              [this, &holder](unsigned) { return on_doorbell(holder); });
    return &holder;
}

Holder& Supervisor::add_holder(const Caller& caller, Fd pidfd) {
    holders_.push_back(std::make_unique<Holder>());
    Holder& holder = *holders_.back();
    holder.place_ = std::prev(holders_.end());
    holder.caller_ = caller;
    holder.executable_ = executable_of(caller.pid);
    holder.key_ = random_identity().text();
    holder.pidfd_ = std::move(pidfd);
    watch_death(holder);
    return holder;
}

void Supervisor::watch_death(Holder& holder) {
    if (!holder.pidfd_) return;
    io_.watch(holder.death_, holder.pidfd_.get(), POLLIN, Priority::death,
              [this, &holder](unsigned) { return on_death(holder); });
}

// ---- Ends --------------------------------------------------------------------------------------

Progress Supervisor::on_death(Holder& holder) {
    return has_ended(holder.pidfd_.get()) ? on_dead(holder) : Progress::drained;
}

Progress Supervisor::on_dead(Holder& holder) {
    if (!holder.dead_) {
        holder.dead_ = true;
        timers_.disarm(holder.grace_);
        io_.forget(holder.ring_);
        learn_cause(holder);
        if (!holder.participants_.empty()) deaths_ += 1;
    }
    if (!give_back_some(holder)) return Progress::more;
    io_.forget(holder.death_);
    if (!holder.touched_.empty()) report_death(holder);
    for (const auto& queue : std::exchange(holder.touched_, {})) {
        // It may have died between leaving a message to the supervisor and ringing.
        if (!queue->removed) attend(*queue);
    }
    if (!holder.connected_) erase(holder);
    return Progress::drained;
}

void Supervisor::learn_cause(Holder& holder) {
    if (!holder.pidfd_) return;
    if (const auto end = how_it_ended(holder.pidfd_.get(), holder.caller_.pid)) {
        holder.cause_.signal = end->signal;
        holder.cause_.exit_status = end->exit_status;
    }
}

bool Supervisor::give_back_some(Holder& holder) {
    const Nanoseconds until = deadline_after(monotonic_now(), give_back_time_max_ns);
    while (!holder.participants_.empty()) {
        const Participant participant = std::move(holder.participants_.back());
        holder.participants_.pop_back();
        holder.given_back_ += give_back(participant, shm::Ending::died, holder);
        strike(holder, participant);
        holder.touched_.insert(participant.queue);
        if (monotonic_now() >= until) break;
    }
    return holder.participants_.empty();
}

// To each who may see one of its queues, of that queue.
void Supervisor::tell_of_death(const Holder& holder) {
    if (!anybody_watches()) return;
    for (const auto& queue : holder.touched_) {
        tell("process_died", queue.get(),
             fmt::format("queue {}: process {} ({}) ended; given back {} messages in all",
                         queue->name(), holder.caller_.pid,
                         holder.executable_.empty() ? "?" : holder.executable_,
                         holder.given_back_.leases),
             static_cast<std::uint32_t>(holder.caller_.pid), holder.given_back_.leases);
    }
}

void Supervisor::report_death(const Holder& holder) {
    std::string names;
    for (const auto& queue : holder.touched_)
        names += (names.empty() ? "" : " ") + queue->name();
    tell_of_death(holder);
    if (names.size() > 200) names = std::to_string(holder.touched_.size()) + " queues";
    log().info(
        "process {} ({}, uid {}) ended with {}: given back {} messages, {} claims, {} blocks",
        holder.caller_.pid, holder.executable_.empty() ? "?" : holder.executable_,
        holder.caller_.uid, names, holder.given_back_.leases, holder.given_back_.claims,
        holder.given_back_.blocks);
}

// The number is free again afterwards, and the books say so.
shm::Reclaimed Supervisor::give_back(const Participant& participant, shm::Ending ending,
                                     const Holder& holder) {
    Queue& queue = *participant.queue;
    queue.keep_sleeps_of(participant.number);
    const shm::Reclaimed reclaimed =
        queue.supervise().reclaim(participant.number, ending, monotonic_now(), holder.cause_);
    reclaimed_ += reclaimed.leases;
    if (reclaimed.leases != 0) {
        tell("reclaimed", &queue,
             fmt::format("queue {}: {} messages taken back from process {}", queue.name(),
                         reclaimed.leases, holder.caller_.pid),
             static_cast<std::uint32_t>(holder.caller_.pid), reclaimed.leases);
    }
    dead_letters_.bury(queue, [&](std::uint16_t number) {
        return number == participant.number ? describe(holder) : last_holder(queue, number);
    });
    if (participant.role == wire::Role::producer) {
        SHMQ_CHECK(queue.producers > 0);
        queue.producers -= 1;
    } else {
        SHMQ_CHECK(queue.consumers > 0);
        queue.consumers -= 1;
        share_in_flight(queue);
    }
    queue.check_damage("a reclaim");
    return reclaimed;
}

void Supervisor::hang_up(Holder& holder) {
    holder.connected_ = false;
    io_.forget(holder.ring_);
    if (holder.participants_.empty()) return erase(holder);
    wait_for_death(holder, hang_up_grace_rounds_most);
}

void Supervisor::wait_for_death(Holder& holder, int rounds_left) {
    timers_.arm(holder.grace_, deadline_after(monotonic_now(), hang_up_grace_ns),
                [this, &holder, rounds_left] {
                    if (rounds_left > 0 && is_exiting(holder.caller_.pid)) {
                        wait_for_death(holder, rounds_left - 1);
                    } else {
                        on_grace_over(holder);
                    }
                });
}

void Supervisor::on_grace_over(Holder& holder) {
    for (const Participant& participant : holder.participants_) {
        const shm::Reclaimed reclaimed =
            participant.queue->supervise().hang_up(participant.number, monotonic_now());
        bury(*participant.queue);
        arm_sweep(*participant.queue);
        reclaimed_ += reclaimed.leases;
        holder.given_back_ += reclaimed;
        participant.queue->check_damage("a hang-up");
        log().info(
            "process {} (uid {}) hung up from queue {} and lives: given back {} messages, "
            "the rest stays participant {}'s until it ends",
            holder.caller_.pid, holder.caller_.uid, participant.queue->name(), reclaimed.leases,
            participant.number);
    }
}

void Supervisor::forget(const Queue& queue) {
    for (auto place = holders_.begin(); place != holders_.end();) {
        Holder& holder = **place++;
        const auto gone = std::erase_if(holder.participants_, [&](const Participant& held) {
            if (held.queue.get() != &queue) return false;
            roster_.erase(held.place);
            return true;
        });
        if (gone > 0) let_go_of_process(holder);
        if (gone > 0 && holder.participants_.empty() && !holder.connected_) erase(holder);
    }
}

void Supervisor::erase(Holder& holder) {
    timers_.disarm(holder.grace_);
    let_go_of_process(holder);
    holders_.erase(holder.place_);
}

void Supervisor::release_all() {
    holders_.clear();
}

// ---- Attach and detach -------------------------------------------------------------------------

wire::Outcome<Supervisor::Attached> Supervisor::attach(Holder& holder,
                                                       const std::shared_ptr<Queue>& queue,
                                                       wire::Role role, std::uint32_t in_flight) {
    if (queue->quarantined()) {
        return std::unexpected(wire::quarantined(queue->name(), queue->quarantine_reason()));
    }
    if (!holder.pidfd_) {
        return std::unexpected(wire::system_error(
            "pidfd_open", ESRCH, "no pidfd came with Hello, and the kernel gives none"));
    }
    if (holder.dead_ || has_ended(holder.pidfd_.get())) {
        return std::unexpected(
            wire::system_error("attach", ESRCH, "the process that connected has ended"));
    }
    if (auto free = check_exclusive(*queue, role); !free) return std::unexpected(free.error());
    auto attached = descriptors_for(*queue, role);
    if (!attached) return attached;
    if (auto given = give_number(holder, queue, role, *attached); !given) {
        return std::unexpected(given.error());
    }
    if (role == wire::Role::consumer) {
        share_in_flight(*queue);
        arm_sweep(*queue);
        const std::uint32_t share = queue->segment().header().in_flight_cap.load();
        attached->in_flight = std::min(in_flight != 0 ? in_flight : queue->in_flight(), share);
    }
    log().debug("queue {}: pid {} (uid {}) attached as {}, participant {}", queue->name(),
                holder.caller_.pid, holder.caller_.uid, wire::role_token(role), attached->number);
    if (role != wire::Role::observer) {
        tell("attached", queue.get(),
             fmt::format("queue {}: process {} attached as {}", queue->name(), holder.caller_.pid,
                         wire::role_token(role)),
             static_cast<std::uint32_t>(holder.caller_.pid));
    }
    return attached;
}

wire::Outcome<void> Supervisor::check_exclusive(const Queue& queue, wire::Role role) {
    const bool exclusive =
        (role == wire::Role::producer && queue.segment().geometry().has(shm::exclusive_producer)) ||
        (role == wire::Role::consumer && queue.segment().geometry().has(shm::exclusive_consumer));
    if (!exclusive) return {};
    while (Holder* present = holder_of(queue, role)) {
        if (!present->pidfd_ || !has_ended(present->pidfd_.get())) {
            return std::unexpected(
                wire::role_taken(queue.name(), wire::role_token(role),
                                 static_cast<std::uint32_t>(present->caller_.pid)));
        }
        on_dead(*present);  // dead, and its turn in this round has not come yet
    }
    return {};
}

Holder* Supervisor::holder_of(const Queue& queue, wire::Role role) {
    for (const auto& holder : holders_) {
        for (const Participant& held : holder->participants_) {
            if (held.queue.get() == &queue && held.role == role) return holder.get();
        }
    }
    return nullptr;
}

wire::Outcome<Supervisor::Attached> Supervisor::descriptors_for(Queue& queue, wire::Role role) {
    const shm::Segment& segment = queue.segment();
    Attached attached;
    attached.ring = role == wire::Role::observer
                        ? shm::Segment::reopen_read_only(segment.ring_fd())
                        : Fd(::fcntl(segment.ring_fd(), F_DUPFD_CLOEXEC, 0));
    if (!attached.ring) return std::unexpected(wire::system_error("open ring", errno));
    if (segment.pool_fd() < 0) return attached;
    attached.pool = role == wire::Role::producer
                        ? Fd(::fcntl(segment.pool_fd(), F_DUPFD_CLOEXEC, 0))
                        : shm::Segment::reopen_read_only(segment.pool_fd());
    if (!attached.pool) return std::unexpected(wire::system_error("open pool", errno));
    return attached;
}

wire::Outcome<void> Supervisor::give_number(Holder& holder, const std::shared_ptr<Queue>& queue,
                                            wire::Role role, Attached& attached) {
    if (role == wire::Role::observer) return {};
    const bool producer = role == wire::Role::producer;
    const shm::Geometry& geometry = queue->segment().geometry();
    attached.exclusive = geometry.has(producer ? shm::exclusive_producer : shm::exclusive_consumer);
    const Nanoseconds now = monotonic_now();
    attached.number = queue->supervise().admit(
        producer ? shm::Role::producer : shm::Role::consumer, attached.exclusive,
        {static_cast<std::uint32_t>(holder.caller_.pid), holder.caller_.uid}, now);
    if (attached.number == 0) {
        return std::unexpected(wire::quota_exceeded("participants", holder.caller_.uid,
                                                    geometry.shape.participants - 1,
                                                    queue->producers + queue->consumers));
    }
    attached.generation = queue->supervise().generation(attached.number);
    holder.participants_.push_back({.queue = queue,
                                    .number = attached.number,
                                    .role = role,
                                    .generation = attached.generation,
                                    .attached_at = now});
    enter(holder, holder.participants_.back());
    (producer ? queue->producers : queue->consumers) += 1;
    return {};
}

wire::Outcome<void> Supervisor::detach(Holder& holder, const std::shared_ptr<Queue>& queue,
                                       std::uint32_t number) {
    const auto found = std::find_if(
        holder.participants_.begin(), holder.participants_.end(),
        [&](const Participant& held) { return held.queue == queue && held.number == number; });
    if (found == holder.participants_.end()) {
        return std::unexpected(wire::invalid_parameter(
            "participant", "no participant " + std::to_string(number) + " of this session"));
    }
    const Participant leaving = *found;
    holder.participants_.erase(found);
    const shm::Reclaimed reclaimed = give_back(leaving, shm::Ending::detached, holder);
    strike(holder, leaving);
    log().debug("queue {}: pid {} detached participant {}, given back {} messages", queue->name(),
                holder.caller_.pid, number, reclaimed.leases);
    tell("detached", queue.get(),
         fmt::format("queue {}: process {} detached as {}", queue->name(), holder.caller_.pid,
                     wire::role_token(leaving.role)),
         static_cast<std::uint32_t>(holder.caller_.pid));
    return {};
}

// ---- Sweeps ------------------------------------------------------------------------------------

void Supervisor::share_in_flight(Queue& queue) {
    queue.supervise().share_in_flight(queue.in_flight());
}

// At what is known to be due, and where there are consumers, who may take messages without a word,
// after an interval. Queues without both wake nobody. Intervals are rounded to whole ones, so that
// queues with the same lease share a wake-up.
void Supervisor::arm_sweep(Queue& queue) {
    if (queue.quarantined() || queue.removed) return;
    Nanoseconds due = queue.supervise().next_due();
    if (queue.consumers > 0 || !queue.supervise().doomed().empty()) {
        const Nanoseconds interval = queue.sweep_interval();
        const Nanoseconds now = monotonic_now();
        due = std::min(due, deadline_after(now, interval - now % interval));
    }
    due = std::max(due, queue.sweep_not_before);
    if (due == no_deadline || (queue.sweep_timer.armed() && queue.sweep_due <= due)) return;
    queue.sweep_due = due;
    timers_.arm(queue.sweep_timer, due, [this, &queue] { attend(queue); });
}

Progress Supervisor::on_doorbell(Holder& holder) {
    const Nanoseconds now = monotonic_now();
    std::vector<std::shared_ptr<Queue>> queues;
    for (const Participant& held : holder.participants_)
        queues.push_back(held.queue);
    for (const auto& queue : queues) {
        if (queue->journal) queue->journal->work();
        queue->notice_spill();
        // Who rings without pause gets a fair share of this thread, not all of it.
        if (now < queue->sweep_not_before) {
            queue->sweep_due = queue->sweep_not_before;
            timers_.arm(queue->sweep_timer, queue->sweep_not_before,
                        [this, &queue = *queue] { attend(queue); });
        } else if (queue->supervise().take_work_flag()) {
            attend(*queue);
        }
    }
    return Progress::drained;
}

void Supervisor::sweep(Queue& queue) {
    if (queue.quarantined()) return;
    if (!queue.moves_settled) dead_letters_.settle_unfinished();
    queue.supervise().take_work_flag();
    shm::Supervise::Stopped stopped;
    if ((queue.segment().policy().flags & shm::pause_stopped) != 0) {
        stopped = [this, &queue](std::uint16_t number) {
            const Holder* holder = holder_of_number(queue, number);
            return holder != nullptr && is_stopped(holder->caller_.pid);
        };
    }
    const Nanoseconds begun = monotonic_now();
    const auto& expired_total = queue.segment().header().totals.expired;
    const std::uint64_t expired_before = expired_total.load();
    const std::uint64_t acted = queue.supervise().sweep(begun, stopped);
    if (const std::uint64_t expired = expired_total.load() - expired_before; expired != 0) {
        tell("lease_expired", &queue,
             fmt::format("queue {}: {} leases ran out", queue.name(), expired), 0, expired);
    }
    bury(queue);
    if (queue.journal) queue.journal->work();
    queue.notice_spill();
    const Nanoseconds ended = monotonic_now();
    queue.sweep_not_before = deadline_after(ended, 4 * (ended - begun));
    queue.check_damage("a sweep");
    if (acted > 0) log().debug("queue {}: swept, {} messages", queue.name(), acted);
}

void Supervisor::attend(Queue& queue) {
    sweep(queue);
    arm_sweep(queue);
}

}  // namespace shmq::daemon

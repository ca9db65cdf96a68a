// What a supervisor takes over from a predecessor, and how sessions come back to it. Written down
// at attach: the roster says which session and which kept pidfd has a number; a session comes back
// under its key, from the same process. Where nothing was kept, because keeper and daemon died
// together, participants are strays: their process is looked up by pid, and their session may bring
// them all the same.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.hpp"
#include "daemon/control/identity.hpp"
#include "daemon/keeper/inherited.hpp"
#include "daemon/log.hpp"
#include "daemon/supervisor.hpp"
#include "shm/audit.hpp"
#include "shm/given_numbers.hpp"

namespace shmq::daemon {
namespace {

bool has_ended(int pidfd) {
    pollfd watched{pidfd, POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0;
}

// The process that attached, by pid, as the segment or the roster remembers it. Pids come back, but
// no process that began after the attach can be the one that attached. Invalid: it is dead.
Fd find_process(const RosterEntry& entry) {
    Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, entry.pid, 0)));
    const bool alive = pidfd && !has_ended(pidfd.get()) &&
                       !started_after(entry.pid, entry.attached_at) && !has_ended(pidfd.get());
    return alive ? std::move(pidfd) : Fd();
}

wire::Role role_of(bool producer) {
    return producer ? wire::Role::producer : wire::Role::consumer;
}

}  // namespace

// ---- Writing it down ---------------------------------------------------------------------------

// The pidfd first: an entry of the roster whose process nobody kept makes a stray.
void Supervisor::enter(Holder& holder, Participant& participant) {
    const std::string name = kept_name(kept::process, next_kept_id_);
    if (holder.kept_id_ == 0 && holder.pidfd_ && store_.has_room_for(name)) {
        holder.kept_id_ = next_kept_id_++;
        store_.keep(name, holder.pidfd_.get());
    }
    participant.place = roster_.add({.identity = participant.queue->identity(),
                                     .key = holder.key_,
                                     .holder = holder.kept_id_,
                                     .number = participant.number,
                                     .generation = participant.generation,
                                     .pid = holder.caller_.pid,
                                     .uid = holder.caller_.uid,
                                     .attached_at = participant.attached_at,
                                     .producer = participant.role == wire::Role::producer});
}

void Supervisor::strike(Holder& holder, const Participant& participant) {
    roster_.erase(participant.place);
    let_go_of_process(holder);
}

void Supervisor::let_go_of_process(Holder& holder) {
    if (holder.kept_id_ == 0 || !holder.participants_.empty()) return;
    store_.drop(kept_name(kept::process, std::exchange(holder.kept_id_, 0)));
}

// ---- Sessions that come back -------------------------------------------------------------------

Holder* Supervisor::find_holder(const std::string& key) {
    for (const auto& holder : holders_) {
        if (!holder->dead_ && holder->key_ == key) return holder.get();
    }
    return nullptr;
}

// The key alone would let a child of fork, or whoever read it, speak for a process.
bool Supervisor::is_known_as(const Holder& holder, const Caller& caller) const {
    return holder.pidfd_ && !has_ended(holder.pidfd_.get()) &&
           check_pidfd(holder.pidfd_.get(), caller.pid).empty();
}

bool Supervisor::reattach(Holder& holder, const std::shared_ptr<Queue>& queue, std::uint32_t number,
                          std::uint32_t generation) {
    const auto is_it = [&](const Participant& held) {
        return held.queue == queue && held.number == number && held.generation == generation;
    };
    auto found = std::find_if(holder.participants_.begin(), holder.participants_.end(), is_it);
    for (auto place = holders_.begin();
         found == holder.participants_.end() && place != holders_.end(); ++place) {
        Holder& stray = **place;
        // Only those that no session is known to have; and only from the process they name.
        if (!stray.key_.empty() || (stray.caller_.pid != 0 && holder.caller_.pid != 0 &&
                                    stray.caller_.pid != holder.caller_.pid)) {
            continue;
        }
        const auto its =
            std::find_if(stray.participants_.begin(), stray.participants_.end(), is_it);
        if (its == stray.participants_.end()) continue;
        Participant participant = std::move(*its);
        stray.participants_.erase(its);
        roster_.erase(participant.place);
        holder.participants_.push_back(std::move(participant));
        enter(holder, holder.participants_.back());
        found = std::prev(holder.participants_.end());
        erase(stray);
        break;
    }
    if (found == holder.participants_.end()) return false;
    found->brought_back = true;
    queue->supervise().resume(found->number);
    // It may have rung a doorbell that nobody heard.
    if (queue->supervise().take_work_flag() || queue->journal) attend(*queue);
    return true;
}

std::size_t Supervisor::finish_resume(Holder& holder) {
    std::size_t detached = 0;
    for (std::size_t index = 0; index < holder.participants_.size();) {
        if (holder.participants_[index].brought_back) {
            ++index;
            continue;
        }
        const Participant leaving = std::move(holder.participants_[index]);
        holder.participants_.erase(holder.participants_.begin() +
                                   static_cast<std::ptrdiff_t>(index));
        give_back(leaving, shm::Ending::detached, holder);
        strike(holder, leaving);
        ++detached;
    }
    return detached;
}

// ---- A predecessor's ---------------------------------------------------------------------------

Holder& Supervisor::adopt_holder(const RosterEntry& entry, Fd pidfd) {
    Caller caller;
    caller.pid = entry.pid;
    caller.uid = entry.uid;
    const bool kept = pidfd.valid();
    if (!kept && entry.pid > 0) pidfd = find_process(entry);
    Holder& holder = add_holder(caller, std::move(pidfd));
    holder.connected_ = false;
    next_kept_id_ = std::max(next_kept_id_, entry.holder + 1);
    if (kept) {
        holder.key_ = entry.key;
        holder.kept_id_ = entry.holder;
        store_.kept(kept_name(kept::process, entry.holder), holder.pidfd_.get());
        return holder;
    }
    // A stray: no key, and whoever comes from that process may claim it. One whose pid cannot be
    // seen from here, in another namespace, proves nothing: its number stays taken.
    holder.key_.clear();
    holder.dead_ = entry.pid > 0 && !holder.pidfd_;
    return holder;
}

void Supervisor::adopt_participant(Holder& holder, const std::shared_ptr<Queue>& queue,
                                   const RosterEntry& entry, std::uint32_t place) {
    holder.participants_.push_back({.queue = queue,
                                    .number = static_cast<std::uint16_t>(entry.number),
                                    .role = role_of(entry.producer),
                                    .generation = entry.generation,
                                    .place = place,
                                    .attached_at = entry.attached_at});
    if (holder.pidfd_ && holder.kept_id_ == 0) {
        roster_.erase(place);
        enter(holder, holder.participants_.back());
    }
    (entry.producer ? queue->producers : queue->consumers) += 1;
}

void Supervisor::adopt_strays(const std::shared_ptr<Queue>& queue) {
    for (const shm::ParticipantView& view : shm::list_participants(queue->segment())) {
        // Half taken back: settle() does the rest.
        if (view.state == shm::ParticipantState::gone) continue;
        const RosterEntry entry{.identity = queue->identity(),
                                .key = {},
                                .number = view.number,
                                .generation = view.generation,
                                .pid = static_cast<pid_t>(view.pid),
                                .uid = view.uid,
                                .attached_at = static_cast<Nanoseconds>(view.attached_at),
                                .producer = view.role == shm::Role::producer};
        adopt_participant(adopt_holder(entry, Fd()), queue, entry, roster_.add(entry));
    }
}

Supervisor::Census Supervisor::settle(const std::shared_ptr<Queue>& queue) {
    Census census;
    std::vector<bool> held(queue->segment().geometry().shape.participants, false);
    for (auto place = holders_.begin(); place != holders_.end();) {
        Holder& holder = **place++;
        const bool uses_it =
            std::any_of(holder.participants_.begin(), holder.participants_.end(),
                        [&](const Participant& each) { return each.queue == queue; });
        if (!uses_it) continue;  // no system call for each holder and each queue
        const bool dead = holder.dead_ || (holder.pidfd_ && has_ended(holder.pidfd_.get()));
        if (dead) learn_cause(holder);
        std::vector<Participant> leaving;
        for (const Participant& participant : holder.participants_) {
            if (participant.queue != queue) continue;
            held[participant.number] = true;
            if (dead) leaving.push_back(participant);
            (dead ? census.dead : census.kept) += 1;
        }
        for (const Participant& participant : leaving) {
            std::erase_if(holder.participants_, [&](const Participant& each) {
                return each.queue == queue && each.number == participant.number;
            });
            census.reclaimed += give_back(participant, shm::Ending::died, holder);
            strike(holder, participant);
        }
        if (!leaving.empty() && holder.participants_.empty()) {
            deaths_ += 1;
            erase(holder);
        }
    }
    // Given out, and told to nobody, before the predecessor died; or half taken back.
    const std::uint32_t end = shm::given_numbers_end(queue->segment());
    for (std::uint32_t number = 1; number < end; ++number) {
        if (held[number]) continue;
        census.reclaimed +=
            queue->supervise().reclaim(static_cast<std::uint16_t>(number), shm::Ending::detached);
    }
    queue->check_damage("the first look");
    share_in_flight(*queue);
    sweep(*queue);
    arm_sweep(*queue);
    return census;
}

}  // namespace shmq::daemon

// Who has what: for those who look, and for those who take it away by hand.
#include <algorithm>
#include <utility>

#include "daemon/supervisor.hpp"
#include "shm/audit.hpp"

namespace shmq::daemon {

Holder* Supervisor::holder_of_number(const Queue& queue, std::uint16_t number) {
    for (const auto& holder : holders_) {
        for (const Participant& held : holder->participants_) {
            if (held.queue.get() == &queue && held.number == number) return holder.get();
        }
    }
    return nullptr;
}

LastHolder Supervisor::describe(const Holder& holder) {
    return {static_cast<std::uint32_t>(holder.caller_.pid), holder.caller_.uid, holder.executable_};
}

LastHolder Supervisor::last_holder(const Queue& queue, std::uint16_t number) {
    const Holder* holder = holder_of_number(queue, number);
    return holder == nullptr ? LastHolder{} : describe(*holder);
}

void Supervisor::bury(Queue& queue) {
    dead_letters_.bury(queue, [&](std::uint16_t number) { return last_holder(queue, number); });
}

std::vector<wire::Pending> Supervisor::pending(Queue& queue, std::optional<std::uint64_t> after,
                                               std::size_t most) {
    const Nanoseconds now = monotonic_now();
    std::vector<wire::Pending> pending;
    const std::uint64_t mask = queue.segment().geometry().index_mask;
    for (const shm::MessageView& message : shm::pending(queue.segment(), SIZE_MAX)) {
        if (after && !shm::after(message.sequence, *after)) continue;
        if (pending.size() == most) break;
        wire::Pending one;
        one.sequence = message.sequence;
        one.participant = message.owner;
        const Holder* holder = nullptr;
        if (message.owner != 0) {
            holder = holder_of_number(queue, message.owner);
        } else if (!message.held && !message.delayed) {
            holder = holder_of(queue, wire::Role::consumer);  // an exclusive one has read it
        }
        if (holder != nullptr) {
            one.pid = static_cast<std::uint32_t>(holder->caller_.pid);
            one.uid = holder->caller_.uid;
            constexpr std::size_t shown_most = 128;  // its end; an answer must fit a frame
            const std::string& path = holder->executable_;
            one.executable = path.substr(path.size() - std::min(path.size(), shown_most));
        }
        const auto age = now - static_cast<Nanoseconds>(message.timestamp);
        one.age_ns = age > 0 ? static_cast<std::uint64_t>(age) : 0;
        const std::uint64_t index = message.sequence & mask;
        if (const auto left = queue.supervise().lease_left(index, now)) {
            one.lease_left_ns = static_cast<std::uint64_t>(*left);
        }
        if (message.delayed) {
            one.state = wire::PendingState::delayed;
            one.due_in_ns =
                static_cast<std::uint64_t>(queue.supervise().due_in(index, now).value_or(0));
        } else if (message.held) {
            one.state = wire::PendingState::held;
        }
        one.deliveries = message.deliveries;
        one.failures = message.failures;
        one.size = message.length;
        pending.push_back(std::move(one));
    }
    return pending;
}

std::uint64_t Supervisor::release(pid_t pid, const std::function<bool(const Queue&)>& wanted) {
    std::uint64_t released = 0;
    for (const auto& holder : holders_) {
        if (holder->caller_.pid != pid) continue;
        for (const Participant& held : holder->participants_) {
            if (held.role != wire::Role::consumer || !wanted(*held.queue)) continue;
            const std::uint64_t here = held.queue->supervise().release(held.number);
            held.queue->check_damage("a release");
            released += here;
        }
    }
    return released;
}

}  // namespace shmq::daemon

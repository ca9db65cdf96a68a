#include "cli/members.hpp"

#include <algorithm>
#include <map>

#include "cli/observation.hpp"
#include "cli/process.hpp"
#include "client/session.hpp"

namespace shmq::cli {

std::vector<Member> members_of(Client& client, std::string_view queue) {
    const auto session = SessionAccess::of(client);
    const Attachment attachment = need(session->observe(queue));
    std::map<std::uint32_t, Member> members;
    for (const shm::ParticipantView& view : shm::list_participants(*attachment.segment)) {
        if (view.state == shm::ParticipantState::gone) continue;
        const ProcessInfo process = look_at_process(view.pid);
        Member member;
        member.number = view.number;
        member.consumer = view.role == shm::Role::consumer;
        member.exclusive = view.exclusive;
        member.hung_up = view.state == shm::ParticipantState::hung_up;
        member.pid = view.pid;
        member.uid = view.uid;
        member.executable = process.executable;
        member.state = process.state;
        member.attached = age_of(view.attached_at);
        member.sent = view.sent;
        member.delivered = view.delivered;
        member.acked = view.acked;
        member.redelivered = view.redelivered;
        members.emplace(view.number, std::move(member));
    }
    for (const wire::Pending& message : need(session->pending(queue))) {
        const auto found = members.find(message.participant);
        if (message.participant == 0 || found == members.end()) continue;
        Member& member = found->second;
        member.in_flight += 1;
        const std::chrono::nanoseconds age(static_cast<std::int64_t>(message.age_ns));
        member.oldest_unacked = std::max(member.oldest_unacked, age);
        // The daemon may look at processes of others, we may not.
        if (member.executable.empty()) member.executable = message.executable;
    }
    std::vector<Member> sorted;
    for (auto& [number, member] : members)
        sorted.push_back(std::move(member));
    return sorted;
}

Json to_json(const Member& member) {
    Json json = Json::object();
    json.add("participant", member.number)
        .add("role", member.consumer ? "consumer" : "producer")
        .add("exclusive", member.exclusive)
        .add("hung_up", member.hung_up);
    member.pid != 0 ? json.add("pid", member.pid) : json.add_null("pid");
    member.executable.empty() ? json.add_null("executable")
                              : json.add("executable", member.executable);
    json.add("uid", member.uid)
        .add("process_state", std::string_view(&member.state, 1))
        .add("attached_ns", member.attached.count())
        .add("sent", member.sent)
        .add("delivered", member.delivered)
        .add("acked", member.acked)
        .add("redelivered", member.redelivered)
        .add("in_flight", member.in_flight);
    member.in_flight == 0 ? json.add_null("oldest_unacked_ns")
                          : json.add("oldest_unacked_ns", member.oldest_unacked.count());
    return json;
}

}  // namespace shmq::cli

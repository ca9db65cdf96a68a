// What monitors ask: Metrics, Watch.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/version.hpp"
#include "daemon/control/methods.hpp"

namespace shmq::daemon {
namespace {

// Any size, which a frame has not; sealed, so that what was handed out stays what it is.
Fd text_in_memory(const std::string& text) {
    Fd fd(::memfd_create("shmq-text", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    for (std::size_t at = 0; fd && at < text.size();) {
        const ssize_t count = ::write(fd.get(), text.data() + at, text.size() - at);
        if (count <= 0) return {};
        at += static_cast<std::size_t>(count);
    }
    constexpr int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (fd && ::fcntl(fd.get(), F_ADD_SEALS, seals) != 0) return {};
    return fd;
}

}  // namespace

DaemonNumbers Methods::numbers() const {
    DaemonNumbers numbers;
    numbers.version = version_text();
    numbers.loop = about_.loop;
    numbers.started_at = about_.started_at;
    numbers.queues = registry_.size();
    numbers.sessions = session_count_;
    numbers.deaths = supervisor_.deaths();
    numbers.reclaimed = supervisor_.messages_reclaimed();
    numbers.restarts = about_.restarts;
    numbers.adopted = about_.adopted;
    numbers.rounds = about_.rounds;
    numbers.busy_ns = about_.busy_ns;
    numbers.reloads = about_.reloads;
    numbers.reload_failed = about_.reload_failed;
    return numbers;
}

std::string Methods::metrics_page() const {
    std::vector<std::shared_ptr<Queue>> queues;
    for (const auto& [name, queue] : registry_.all())
        queues.push_back(queue);
    return daemon::metrics_page(numbers(), queues);
}

wire::Outcome<Reply> Methods::metrics(Session& session, const wire::Call& call, wire::Frame&) {
    if (auto failure = wire::Members(call.parameters).finish()) return std::unexpected(*failure);
    Fd text = text_in_memory(daemon::metrics_page(numbers(), registry_.list(session.caller)));
    if (!text) return std::unexpected(wire::system_error("write metrics", errno));
    Reply reply;
    reply.parameters = {{"text", 0}};
    reply.descriptors.push_back(std::move(text));
    return reply;
}

std::optional<wire::Failure> Methods::check_watch(const Session& session, const wire::Call& call,
                                                  std::string& name) const {
    wire::Members members(call.parameters);
    members.take("name", name);
    if (auto failure = members.finish()) return failure;
    if (name.empty()) return {};
    const auto queue = registry_.find(session.caller, name, Right::any, Right::any);
    if (!queue) return unless_recovering(name, queue.error());
    return {};
}

}  // namespace shmq::daemon

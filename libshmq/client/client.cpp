#include <shmq/client.hpp>

#include "client/cores.hpp"
#include "client/session.hpp"

namespace shmq {
namespace {

// One step from Session's answers to those of Client; the session is gone only in a moved-from one.
template <typename Answer, typename Call>
Result<Answer> with(const std::shared_ptr<Session>& session, Call&& call) noexcept {
    if (session == nullptr) return Condition::closed;
    return call(*session);
}

Result<void> without_value(Result<bool> result) noexcept {
    if (!result) return result.error();
    return {};
}

}  // namespace

Client::Client(std::shared_ptr<Session> session) noexcept : session_(std::move(session)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const ConnectOptions& options) noexcept {
    auto session = Session::connect(options);
    if (!session) return session.error();
    return Client(std::move(*session));
}

Result<void> Client::declare(std::string_view name, const QueueOptions& options) noexcept {
    return with<void>(session_, [&](Session& session) {
        return without_value(session.create(name, options, /*if_missing=*/true));
    });
}

Result<void> Client::create(std::string_view name, const QueueOptions& options) noexcept {
    return with<void>(session_, [&](Session& session) {
        return without_value(session.create(name, options, /*if_missing=*/false));
    });
}

Result<void> Client::remove(std::string_view name, bool force) noexcept {
    return with<void>(session_, [&](Session& session) { return session.remove(name, force); });
}

Result<std::uint64_t> Client::purge(std::string_view name) noexcept {
    return with<std::uint64_t>(session_, [&](Session& session) { return session.purge(name); });
}

Result<void> Client::edit(std::string_view name, const QueueChanges& changes) noexcept {
    return with<void>(session_, [&](Session& session) { return session.edit(name, changes); });
}

Result<void> Client::pause(std::string_view name, Side side) noexcept {
    return with<void>(session_, [&](Session& session) { return session.pause(name, side, true); });
}

Result<void> Client::resume(std::string_view name, Side side) noexcept {
    return with<void>(session_, [&](Session& session) { return session.pause(name, side, false); });
}

Result<QueueInfo> Client::describe(std::string_view name) noexcept {
    return with<QueueInfo>(session_, [&](Session& session) { return session.describe(name); });
}

Result<std::vector<QueueInfo>> Client::list() noexcept {
    return with<std::vector<QueueInfo>>(session_, [](Session& session) { return session.list(); });
}

Result<DaemonInfo> Client::status() noexcept {
    return with<DaemonInfo>(session_, [](Session& session) { return session.status(); });
}

Result<Producer> Client::producer(std::string_view name) noexcept {
    if (session_ == nullptr) return Condition::closed;
    auto core = ProducerCore::open(session_, name);
    if (!core) return core.error();
    return Producer(*core);
}

Result<Consumer> Client::consumer(std::string_view name, const ConsumerOptions& options) noexcept {
    if (session_ == nullptr) return Condition::closed;
    auto core = ConsumerCore::open(session_, name, options);
    if (!core) return core.error();
    return Consumer(*core);
}

}  // namespace shmq

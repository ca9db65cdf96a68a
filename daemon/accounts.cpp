#include "daemon/accounts.hpp"

#include "base/check.hpp"

namespace shmq::daemon {

Accounts::~Accounts() {
    SHMQ_CHECK(uses_.empty());
}

std::optional<wire::Failure> Accounts::charge_queue(uid_t uid, std::uint64_t memory_bytes) {
    const auto found = uses_.find(uid);
    const Use use = found == uses_.end() ? Use{} : found->second;
    if (use.queues >= quotas_.queues) {
        return wire::quota_exceeded("queues", uid, quotas_.queues, use.queues);
    }
    if (use.memory_bytes > quotas_.memory_bytes ||
        memory_bytes > quotas_.memory_bytes - use.memory_bytes) {
        return wire::quota_exceeded("memory_bytes", uid, quotas_.memory_bytes, use.memory_bytes);
    }
    take_over_queue(uid, memory_bytes);
    return {};
}

void Accounts::take_over_queue(uid_t uid, std::uint64_t memory_bytes) {
    uses_[uid].queues += 1;
    uses_[uid].memory_bytes += memory_bytes;
}

void Accounts::release_queue(uid_t uid, std::uint64_t memory_bytes) {
    Use& use = uses_.at(uid);
    SHMQ_CHECK(use.queues > 0 && use.memory_bytes >= memory_bytes);
    use.queues -= 1;
    use.memory_bytes -= memory_bytes;
    drop_if_empty(uid);
}

std::optional<wire::Failure> Accounts::charge_session(uid_t uid) {
    const auto found = uses_.find(uid);
    const std::uint64_t used = found == uses_.end() ? 0 : found->second.sessions;
    if (used >= quotas_.sessions) {
        return wire::quota_exceeded("sessions", uid, quotas_.sessions, used);
    }
    uses_[uid].sessions += 1;
    return {};
}

void Accounts::release_session(uid_t uid) {
    Use& use = uses_.at(uid);
    SHMQ_CHECK(use.sessions > 0);
    use.sessions -= 1;
    drop_if_empty(uid);
}

void Accounts::drop_if_empty(uid_t uid) {
    const Use& use = uses_.at(uid);
    if (use.queues == 0 && use.sessions == 0) {
        SHMQ_CHECK(use.memory_bytes == 0);
        uses_.erase(uid);
    }
}

}  // namespace shmq::daemon

// What each uid has of the daemon, against its quota. Every charge is released by who made it; at
// the daemon's end nothing is left.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>

#include "daemon/options.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

class Accounts {
  public:
    explicit Accounts(const Quotas& quotas) : quotas_(quotas) {}
    // From now on; what is there already stays.
    void change(const Quotas& quotas) { quotas_ = quotas; }
    ~Accounts();
    Accounts(const Accounts&) = delete;
    Accounts& operator=(const Accounts&) = delete;

    // Charges, or says which quota would be exceeded and charges nothing.
    std::optional<wire::Failure> charge_queue(uid_t uid, std::uint64_t memory_bytes);
    // Charges what is there already, whatever the quota says.
    void take_over_queue(uid_t uid, std::uint64_t memory_bytes);
    void release_queue(uid_t uid, std::uint64_t memory_bytes);
    std::optional<wire::Failure> charge_session(uid_t uid);
    void release_session(uid_t uid);

  private:
    struct Use {
        std::uint64_t queues = 0;
        std::uint64_t sessions = 0;
        std::uint64_t memory_bytes = 0;
    };
    void drop_if_empty(uid_t uid);

    Quotas quotas_;
    std::map<uid_t, Use> uses_;  // of those who have anything
};

}  // namespace shmq::daemon

// The queues by name: makes and removes them, charges their owners, checks who may. Knows no
// sockets and no participants.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/accounts.hpp"
#include "daemon/queue.hpp"
#include "daemon/rights.hpp"

namespace shmq::daemon {

class Registry {
  public:
    explicit Registry(Accounts& accounts) : accounts_(accounts) {}
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    struct Created {
        std::shared_ptr<Queue> queue;
        bool created = false;  // false: it was there, as wanted
    };
    wire::Outcome<Created> create(const Caller& caller, const std::string& name,
                                  const wire::Options& options, bool if_missing);
    // Whoever asks.
    wire::Outcome<std::shared_ptr<Queue>> lookup(const std::string& name) const;
    // The same for a caller that has one of `rights`; `right`: the one to name when it has none.
    wire::Outcome<std::shared_ptr<Queue>> find(const Caller& caller, const std::string& name,
                                               Right right, std::uint32_t rights) const;
    // All that the caller may see, by name.
    std::vector<std::shared_ptr<Queue>> list(const Caller& caller) const;
    // Its users are told; its memory lasts as long as they map it. Nobody finds it any more.
    void remove(const std::shared_ptr<Queue>& queue);
    // At the daemon's end: lets go of all queues, without a word to those who use them.
    void release_all();

    std::size_t size() const { return queues_.size(); }

  private:
    wire::Outcome<std::shared_ptr<Queue>> make(const Caller& caller, const std::string& name,
                                               const wire::Options& options);

    Accounts& accounts_;
    std::map<std::string, std::shared_ptr<Queue>, std::less<>> queues_;
};

// A random number of 16 bytes, as segments and daemons are told apart by.
struct RandomIdentity {
    std::uint8_t bytes[16];
    std::string text() const;  // 32 hexadecimal digits
};
RandomIdentity random_identity();

}  // namespace shmq::daemon

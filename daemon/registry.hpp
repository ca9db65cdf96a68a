// The queues by name: makes and removes them, charges their owners, checks who may. Knows no
// sockets and no participants.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/accounts.hpp"
#include "daemon/catalogue.hpp"
#include "daemon/definition.hpp"
#include "daemon/journals.hpp"
#include "daemon/keeper/store.hpp"
#include "daemon/numbers.hpp"
#include "daemon/queue.hpp"
#include "daemon/random_identity.hpp"
#include "daemon/rights.hpp"
#include "daemon/state_directory.hpp"

namespace shmq::daemon {

// That no descriptor is left is the limit's doing, and can be mended: says which and how.
wire::Failure explained(wire::Failure failure, const std::string& queue);

class Registry {
  public:
    Registry(Accounts& accounts, Store& store, Catalogue& catalogue, Journals& journals)
        : accounts_(accounts), store_(store), catalogue_(catalogue), journals_(journals) {}
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // The descriptors of a queue.
    struct Memory {
        Fd ring;
        Fd pool;  // invalid: none
    };
    // How a predecessor kept one.
    struct Kept {
        std::uint64_t memory_number = 0;
        std::uint32_t catalogue_place = 0;
    };
    struct Created {
        std::shared_ptr<Queue> queue;
        bool created = false;  // false: it was there, as wanted
    };
    wire::Outcome<Created> create(const Caller& caller, const std::string& name,
                                  const wire::Options& options, bool if_missing);
    // Changes what can change while the queue exists. `wanted`: what is said; `clear`: names of
    // options that are to be as if they had never been said.
    struct Edit {
        wire::Options wanted;
        std::optional<std::uint32_t> owner;
        std::vector<std::string> clear;
    };
    wire::Outcome<std::shared_ptr<Queue>> edit(const Caller& caller, const std::string& name,
                                               const Edit& edit);
    // Nothing: that side stays as it is.
    wire::Outcome<std::shared_ptr<Queue>> pause(const Caller& caller, const std::string& name,
                                                std::optional<bool> producers,
                                                std::optional<bool> consumers);
    // A queue of the configuration: made where it is missing, changed as far as it can be, and the
    // rest said in the log. What cannot be had at all, too.
    void declare(const DeclaredQueue& declared);
    // Of queues whose makers do not say.
    void set_defaults(const wire::Options& defaults) { defaults_ = defaults; }
    // Whoever asks.
    wire::Outcome<std::shared_ptr<Queue>> lookup(const std::string& name) const;
    // The same for a caller that has one of `rights`; `right`: the one to name when it has none.
    wire::Outcome<std::shared_ptr<Queue>> find(const Caller& caller, const std::string& name,
                                               Right right, std::uint32_t rights) const;
    // All that the caller may see, by name.
    std::vector<std::shared_ptr<Queue>> list(const Caller& caller) const;
    // A queue that a predecessor made: from what was kept, or from what a client brought (not
    // `kept`), and is kept from now on. The memory is checked against the definition. Or why not.
    std::expected<std::shared_ptr<Queue>, std::string> adopt(const Definition& definition,
                                                             Memory memory,
                                                             std::optional<Kept> kept = {});
    // A durable queue whose memory is gone: made anew, with the messages of its log. Or why not.
    std::expected<std::shared_ptr<Queue>, std::string> restore(const Definition& definition);
    // The queue for the dead letters of another: made where it is missing, as that one's owner
    // would. REQUIRES: the policy of `source` names one.
    wire::Outcome<std::shared_ptr<Queue>> dead_letter_queue(const Queue& source);
    // Makes its pool where it needs one and has none yet: to be called before anybody may put a
    // message into it. An idle queue that nobody has used is one descriptor.
    wire::Outcome<void> make_pool(Queue& queue);
    // What a participant is given to carry, for a daemon that has lost the queue. Makes the pool,
    // which it names.
    wire::Outcome<Fd> definition_for_client(Queue& queue);
    bool has(const std::string& identity) const;
    // Null: none of these 16 bytes.
    std::shared_ptr<Queue> by_identity(const std::uint8_t (&identity)[16]) const;
    // Its users are told; its memory lasts as long as they map it. Nobody finds it any more.
    void remove(const std::shared_ptr<Queue>& queue);
    // At the daemon's end: lets go of all queues, without a word to those who use them.
    void release_all();

    std::size_t size() const { return queues_.size(); }
    const auto& all() const { return queues_; }
    // As Journals has them.
    Journals& journals() const { return journals_; }

  private:
    struct Plan {
        std::string name;
        wire::Ownership ownership{};
        wire::Options beside_memory;  // what the memory does not say
        shm::Shape shape{};
        shm::Policy policy{};
        Paused paused;
    };
    // `pid`: who asked, for the log. `identity`: of the queue that it was before; null: it is new.
    wire::Outcome<std::shared_ptr<Queue>> make(const Plan& plan, pid_t pid,
                                               const RandomIdentity* identity = nullptr);
    wire::Outcome<std::shared_ptr<Queue>> make_charged(const Plan& plan,
                                                       const RandomIdentity& identity,
                                                       bool restored);

    // So that a successor finds it.
    wire::Outcome<void> keep(Queue& queue);
    void drop(Queue& queue);
    // So that a successor finds it as it is now.
    wire::Outcome<void> keep_changed(Queue& queue);
    wire::Outcome<void> write_down(Queue& queue);
    wire::Outcome<void> check_owner(const Caller& caller, const Queue& queue, const Edit& edit);

    Accounts& accounts_;
    Store& store_;
    Catalogue& catalogue_;
    Journals& journals_;
    wire::Options defaults_;
    Numbers memory_numbers_;
    std::map<std::string, std::shared_ptr<Queue>, std::less<>> queues_;
};

}  // namespace shmq::daemon

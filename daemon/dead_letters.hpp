// Messages that failed too often or were rejected: into the dead-letter queue of their queue, and
// by hand back again. How one is moved is shm::Move's; where to, with which history, and what to
// say when it cannot be, is decided here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/queue.hpp"
#include "daemon/registry.hpp"
#include "daemon/rights.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

class DeadLetters {
  public:
    explicit DeadLetters(Registry& registry) : registry_(registry) {}

    // Who has a participant's number in that queue.
    using WhoIs = std::function<LastHolder(std::uint16_t number)>;
    // Moves all that is doomed in the queue. What cannot be moved stays where it is, held; why is
    // the queue's alarm, and said in the log once. To be called after each verb of supervise().
    void bury(Queue& queue, const WhoIs& who_is);
    // Finishes or undoes the moves that a predecessor left half-way, in all queues not yet looked
    // at. Call it before any queue's first sweep.
    void settle_unfinished();

    struct Redriven {
        std::uint64_t done = 0;
        std::vector<std::pair<std::uint64_t, std::string>> refused;  // sequence, why
    };
    // Back from a dead-letter queue to where they came from, or to `to`. The caller's right to
    // manage `queue` was checked; that to produce to the target is checked here.
    Redriven redrive(const Caller& caller, Queue& queue,
                     const std::vector<std::uint64_t>& sequences, const std::string& to);

  private:
    // Nothing and a reason, or the queue, ready to be moved to.
    std::shared_ptr<Queue> target_of(Queue& queue, std::string& why_not);
    std::string open_target(Queue& target);
    std::string redrive_one(const Caller& caller, Queue& queue, std::uint64_t sequence,
                            const std::string& to);

    Registry& registry_;
};

}  // namespace shmq::daemon

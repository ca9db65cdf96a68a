// Messages that failed too often or were rejected: into the dead-letter queue of their queue, and
// by hand back again. How one is moved is shm::Move's; where to, with which history, and what to
// say when it cannot be, is decided here.
//
// A durable queue takes what is moved to it into its log (docs/decisions/0054): the message stays
// where it was, in the supervisor's hands and in motion, until it is safe there.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/queue.hpp"
#include "daemon/queue_journal.hpp"
#include "daemon/registry.hpp"
#include "daemon/rights.hpp"
#include "daemon/timers.hpp"
#include "shm/move.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

class DeadLetters : public Origins {
  public:
    DeadLetters(Registry& registry, Timers& timers) : registry_(registry), timers_(timers) {
        registry_.journals().ask(*this);
    }
    void stop() { timers_.disarm(retry_); }

    // Who has a participant's number in that queue.
    using WhoIs = std::function<LastHolder(std::uint16_t number)>;
    // Moves all that is doomed in the queue. What cannot be moved stays where it is, held; why is
    // the queue's alarm, and said in the log once. To be called after each verb of supervise().
    void bury(Queue& queue, const WhoIs& who_is);
    // Finishes or undoes the moves that a predecessor left half-way, in all queues not yet looked
    // at. Call it before any queue's first sweep.
    void settle_unfinished();

    Answer look(const journal::Origin& origin) const override;
    bool settled(const journal::Origin& origin) const override;

    struct Redriven {
        std::uint64_t done = 0;
        std::vector<wire::Refusal> refused;
    };
    // Back from a dead-letter queue to where they came from, or to `to`. The caller's right to
    // manage `queue` was checked; that to produce to the target is checked here.
    Redriven redrive(const Caller& caller, Queue& queue,
                     const std::vector<std::uint64_t>& sequences, const std::string& to);

  private:
    // Nothing and a reason, or the queue, ready to be moved to.
    std::shared_ptr<Queue> target_of(Queue& queue, std::string& why_not);
    std::string open_target(Queue& target);
    // Nothing: it is done, or on its way.
    std::optional<wire::Refusal> redrive_one(const Caller& caller, Queue& queue,
                                             std::uint64_t sequence, const std::string& to);

    // What a move leaves behind in its source.
    struct Leaving {
        std::uint64_t sequence = 0;
        shm::CountJournal::Drop count_as{};
        const shm::DeadLetterRecord* history = nullptr;
        std::string told;  // when it has left; "": nothing
        std::uint32_t pid = 0;
    };
    static bool by_log(const Queue& target) {
        return target.segment().geometry().has(shm::durable_log);
    }
    static shm::MoveStatus move(Queue& source, Queue& target, Leaving leaving);
    // moved: it is on its way.
    static shm::MoveStatus move_by_log(Queue& source, Queue& target, Leaving leaving);
    static void tell_moved(Queue& queue, const Leaving& leaving);
    static shm::MoveStatus bury_one(Queue& queue, Queue& target, const shm::Doomed& one,
                                    const LastHolder& holder);
    static bool finish(Queue& source, const Leaving& leaving, bool safe);
    std::shared_ptr<Queue> source_of(const journal::Origin& origin) const;
    void retry_soon(Queue& queue);
    void retry();

    Registry& registry_;
    Timers& timers_;
    Timer retry_;
    std::vector<std::weak_ptr<Queue>> to_retry_;  // their target's log is being read
    Nanoseconds retry_pause_ = 0;
    mutable std::weak_ptr<Queue> last_source_;  // that was looked up: many in a row are the same
    mutable journal::Identity last_origin_{};
};

}  // namespace shmq::daemon

// The journals of all queues: where they live, and whose there are.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "daemon/definition.hpp"
#include "daemon/io/io.hpp"
#include "daemon/journal/engine.hpp"
#include "daemon/queue.hpp"
#include "daemon/state_directory.hpp"
#include "daemon/timers.hpp"

namespace shmq::daemon {

class Origins;

class Journals {
  public:
    // `state`: where they live, or why there can be none.
    Journals(Io& io, Timers& timers, const StateDirectory::Opened& state)
        : io_(io), timers_(timers), state_(state) {}

    // Before the first verb. By which means bytes move, for people; or why nothing can.
    std::expected<std::string, std::string> start(journal::EngineChoice choice);
    // After the last queue is gone.
    void stop();

    // Opens the journal of a queue that has one, a new or an old one; does nothing for others. What
    // an old one holds is recovered from the loop (queue_journal.hpp). `restored`: its memory is
    // new, its messages are the log's. Or why not.
    std::expected<void, std::string> open(Queue& queue, bool restored = false);
    // What journals ask of other queues; before the first verb. Outlives all queues.
    void ask(const Origins& origins) { origins_ = &origins; }
    // All that left_behind() told of was restored, or cannot be.
    void end_restoring() { restoring_ = false; }
    // Whether queues are still coming back, of whose messages nobody knows where they are.
    bool moves_unknown() const { return unjudged_ != 0 || restoring_; }
    bool restoring() const { return restoring_; }
    // The queue is no more: its files go.
    void remove(Queue& queue);
    struct LeftBehind {
        Definition definition;
        bool of_this_boot = false;  // somebody may still have its memory
    };
    // Durable queues whose files are here. What a spill left behind before the machine started is
    // removed.
    std::vector<LeftBehind> left_behind();
    // As Engine::turns.
    bool turn() const { return engine_ == nullptr || engine_->turns(); }
    // How many are being recovered.
    const std::size_t& recovering() const { return recovering_; }
    // What the queue is, on disk, as it is now. REQUIRES: it has a journal.
    std::expected<void, std::string> write_definition(const Queue& queue);

  private:
    Io& io_;
    Timers& timers_;
    const StateDirectory::Opened& state_;
    std::shared_ptr<journal::Engine> engine_;  // of all
    Source completions_;
    std::size_t recovering_ = 0;
    std::size_t unjudged_ = 0;
    bool restoring_ = false;
    const Origins* origins_ = nullptr;
};

}  // namespace shmq::daemon

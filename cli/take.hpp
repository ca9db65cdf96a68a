// How long recv goes on: which messages it may take, how it waits, and what status that ends in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <shmq/consumer.hpp>

#include "cli/command.hpp"
#include "cli/signals.hpp"

namespace shmq::cli {

struct Patience {
    std::optional<std::uint64_t> count;
    std::optional<std::chrono::nanoseconds> timeout;  // for each next message
    bool follow = false;

    // Without a wish to wait: what is there, and no more.
    bool takes_what_is_there() const { return !count && !timeout && !follow; }
};

class Taker {
  public:
    enum class End {
        none,     // not yet
        counted,  // as many as wanted
        empty,    // nothing more was there
        timed_out,
        stopped,     // by a signal
        holds_most,  // the consumer may hold no more without acking
    };

    Taker(Consumer& consumer, const Patience& patience, const StopSignals& stop, std::string name)
        : consumer_(consumer), patience_(patience), stop_(stop), name_(std::move(name)) {}

    // Appends the next messages, at most so many; waits no longer than that at a stretch, if given.
    // Returns how many: 0 if the stretch is over, or everything, as end() says.
    std::size_t take(std::vector<Message>& into, std::size_t most,
                     std::optional<std::chrono::nanoseconds> stretch = {});

    End end() const { return end_; }
    std::uint64_t taken() const { return taken_; }
    // What the end means for scripts; a wait cut short by a signal is a Failure.
    Exit status() const;

  private:
    using Clock = Consumer::Deadline::clock;

    Result<std::size_t> receive(std::vector<Message>& into, std::size_t most,
                                Consumer::Deadline until);
    std::size_t finish(End end) {
        end_ = end;
        return 0;
    }

    Consumer& consumer_;
    Patience patience_;
    const StopSignals& stop_;
    std::string name_;
    std::uint64_t taken_ = 0;
    End end_ = End::none;
    std::optional<Consumer::Deadline>
        next_due_;  // when the wait for the next message began to count
};

// The two ways of recv; both ack what was done with and give back the rest.
struct RecvOptions {
    std::string name;
    Patience patience;
    bool null = false;
    bool raw = false;
    std::string command;
    std::optional<int> reject_status;  // of the command: the message is rejected
};
Exit receive_and_print(const Context& context, const RecvOptions& options);
Exit receive_and_execute(const Context& context, const RecvOptions& options);

}  // namespace shmq::cli

// What the process under test has said about itself so far: a page shared with the harness, written
// before and after each call, so that it tells after a kill which calls had returned.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.hpp"

namespace shmq::step {

using MessageId = std::uint32_t;

// drop: a message that nobody holds is dropped by hand; give_back: one that somebody holds, or that
// is delayed, is put back by hand.
enum class Verb : std::uint8_t { send, receive, ack, nack, reject, extend, drop, give_back };

struct Entry {
    Verb verb{};
    bool returned = false;  // the call has returned; else it has begun
    bool done = false;      // it said so: sent, received, or not stale
    MessageId id = 0;
    std::uint64_t sequence = 0;  // received: which; nack, give_back: due when, 0: at once
    std::uint32_t deliveries = 0;
};

class Report {
  public:
    enum Stage : std::uint32_t { waiting, at_work, ended };

    void clear() {
        stage_ = waiting;
        count_ = 0;
        rings_ = 0;
    }
    void enter(Stage stage) { stage_.store(stage, std::memory_order_release); }
    Stage stage() const { return static_cast<Stage>(stage_.load(std::memory_order_acquire)); }

    void begins(Verb verb, MessageId id) { say({verb, false, false, id, 0, 0}); }
    void returns(Verb verb, MessageId id, bool done) { say({verb, true, done, id, 0, 0}); }
    void returns_until(Verb verb, MessageId id, bool done, Nanoseconds due) {
        say({verb, true, done, id, static_cast<std::uint64_t>(due), 0});
    }
    void received(MessageId id, std::uint64_t sequence, std::uint32_t deliveries) {
        say({Verb::receive, true, true, id, sequence, deliveries});
    }

    // It has rung the daemon's doorbell.
    void ring() { rings_.store(rings_.load(std::memory_order_relaxed) + 1); }
    std::uint32_t rings() const { return rings_.load(std::memory_order_acquire); }

    std::uint32_t count() const { return count_.load(std::memory_order_acquire); }
    const Entry& entry(std::uint32_t index) const { return entries_[index]; }

  private:
    static constexpr std::uint32_t entries_most = 128;

    void say(const Entry& entry) {
        const std::uint32_t count = count_.load(std::memory_order_relaxed);
        if (count == entries_most) __builtin_trap();
        entries_[count] = entry;
        count_.store(count + 1, std::memory_order_release);
    }

    std::atomic<std::uint32_t> stage_;
    std::atomic<std::uint32_t> count_;
    std::atomic<std::uint32_t> rings_;
    Entry entries_[entries_most];
};

}  // namespace shmq::step

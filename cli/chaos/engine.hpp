// Total-queue chaos: real producers, consumers, a daemon and its keeper, killed and stopped at
// random, and books at the end. Whatever died when: what was confirmed is delivered and acked,
// nothing acked comes again, content is whole, every duplicate is marked.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <shmq/queue.hpp>

#include "cli/chaos/books.hpp"

namespace shmq::chaos {

struct Plan {
    std::string daemon_program;
    QueueOptions options;
    std::uint32_t producers = 3;
    std::uint32_t consumers = 3;
    std::uint32_t payload_most = 5000;
    std::uint32_t messages_most = 1u << 26;  // of one producer; it slows down to stay below
    std::chrono::milliseconds time{10'000};
    std::uint64_t seed = 0;
    bool daemon = true;  // daemon and keeper are killed and stopped, too
    // Asked now and then: true ends the run early, in order.
    std::function<bool()> stopped = [] { return false; };
};

struct Kills {
    std::uint64_t producers = 0;
    std::uint64_t consumers = 0;
    std::uint64_t daemons = 0;
    std::uint64_t keepers = 0;
    std::uint64_t both = 0;   // at once; counted there, too
    std::uint64_t stops = 0;  // SIGSTOP, and SIGCONT up to 100 ms later
    std::uint64_t total() const { return producers + consumers + daemons + keepers; }
};

struct Outcome {
    Totals totals;
    std::uint64_t duplicated = 0;  // deliveries that were not a message's first
    Kills kills;
    // What went wrong, as sentences; empty: nothing.
    std::vector<std::string> problems;
    std::string text;  // the books
};

// Throws std::exception where it cannot even begin.
Outcome run(const Plan& plan);

}  // namespace shmq::chaos

// The page of numbers that a Prometheus server reads, and `shmq metrics` prints. docs/metrics.md
// lists them all; a test compares. Nothing is counted here: what segments, journals and the
// daemon's parts count is written down, as of one look. Segments are any bytes: a number may be a
// lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "daemon/queue.hpp"

namespace shmq::daemon {

// What the daemon knows of itself.
struct DaemonNumbers {
    std::string version;
    std::string loop;  // its kind
    Nanoseconds started_at = 0;
    std::uint64_t queues = 0;
    std::uint64_t sessions = 0;
    std::uint64_t deaths = 0;
    std::uint64_t reclaimed = 0;
    std::uint64_t restarts = 0;
    std::uint64_t adopted = 0;
    std::uint64_t rounds = 0;
    Nanoseconds busy_ns = 0;
    std::uint64_t reloads = 0;
    bool reload_failed = false;
};

std::string metrics_page(const DaemonNumbers& daemon,
                         const std::vector<std::shared_ptr<Queue>>& queues);

}  // namespace shmq::daemon

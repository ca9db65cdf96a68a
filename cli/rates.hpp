// How fast a queue moves: the difference of two looks at its totals.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include <shmq/queue.hpp>

namespace shmq::cli {

// A total that only grows, and what it is called.
struct Counter {
    std::string_view name;
    std::uint64_t QueueInfo::*value;
};

inline constexpr auto counters = std::to_array<Counter>({
    {"sent", &QueueInfo::sent},
    {"sent_bytes", &QueueInfo::sent_bytes},
    {"delivered", &QueueInfo::delivered},
    {"acked", &QueueInfo::acked},
    {"redelivered", &QueueInfo::redelivered},
    {"dropped", &QueueInfo::dropped},
    {"dead_lettered", &QueueInfo::dead_lettered},
    {"moved_in", &QueueInfo::moved_in},
    {"redriven", &QueueInfo::redriven},
    {"purged", &QueueInfo::purged},
    {"expired", &QueueInfo::expired},
    {"reclaimed", &QueueInfo::reclaimed},
    {"logged", &QueueInfo::logged},
    {"durable", &QueueInfo::durable},
    {"syncs", &QueueInfo::syncs},
});

// A second. 0 for a queue that was made anew meanwhile.
inline double rate_of(std::uint64_t before, std::uint64_t now, std::chrono::nanoseconds between) {
    if (now < before || between.count() <= 0) return 0;
    return static_cast<double>(now - before) / std::chrono::duration<double>(between).count();
}

}  // namespace shmq::cli

#include "schedule/scenarios.hpp"

namespace shmq::schedule {
namespace {

using shm::exclusive_consumer;
using shm::exclusive_producer;
using shm::Overflow;

std::vector<Scenario> plain() {
    return {
        {.name = "shared_1x1", .stops = true},
        {.name = "shared_2x1", .producers = 2, .stops = true},
        {.name = "shared_1x2", .consumers = 2, .stops = true},
        {.name = "shared_2x2", .producers = 2, .consumers = 2, .stops = true},
        {.name = "shared_3x2", .producers = 3, .consumers = 2, .sends = 2, .stops = true},
        {.name = "shared_2x2_ring_of_64", .capacity = 64, .producers = 2, .consumers = 2},
        {.name = "shared_2x2_ring_of_2",
         .capacity = 2,
         .producers = 2,
         .consumers = 2,
         .sends = 4,
         .batch = 1},
        {.name = "exclusive_producer", .flags = exclusive_producer, .consumers = 2, .sends = 5},
        {.name = "exclusive_consumer",
         .flags = exclusive_consumer,
         .producers = 2,
         .verbs = acks_through | nacks | rejects},
        {.name = "exclusive_both",
         .flags = exclusive_producer | exclusive_consumer,
         .sends = 6,
         .verbs = acks_through | nacks | extends},
        {.name = "nobody_waits_for_the_stopped",
         .producers = 3,
         .consumers = 2,
         .give_ups = true,
         .stops_strictly = true},
        {.name = "nobody_waits_for_the_stopped_ring_of_2",
         .capacity = 2,
         .producers = 3,
         .batch = 1,
         .give_ups = true,
         .stops_strictly = true},
    };
}

std::vector<Scenario> verbs() {
    return {
        {.name = "nack", .producers = 2, .consumers = 2, .verbs = nacks},
        {.name = "every_verb",
         .producers = 2,
         .consumers = 2,
         .verbs = nacks | rejects | extends,
         .stops = true},
        {.name = "expiry",
         .consumers = 3,
         .verbs = nacks | rejects | extends,
         .stops = true,
         .sweeps = 8},
        {.name = "handles_kept_too_long",
         .capacity = 2,
         .consumers = 2,
         .sends = 8,
         .batch = 4,
         .prefill = false,
         .sweeps = 12},
        {.name = "overtaken_returner",
         .capacity = 2,
         .consumers = 3,
         .sends = 1,
         .batch = 1,
         .verbs = nacks,
         .prefill = false,
         .stops = true,
         .sweeps = 8},
        {.name = "expiry_exclusive_consumer",
         .flags = exclusive_consumer,
         .verbs = nacks | rejects | extends | acks_through,
         .sweeps = 6},
        {.name = "hang_up",
         .producers = 2,
         .consumers = 2,
         .verbs = nacks | extends,
         .hang_ups = 2},
        {.name = "drop_oldest",
         .overflow = Overflow::drop_oldest,
         .producers = 2,
         .consumers = 2,
         .sends = 4,
         .stops = true},
        {.name = "drop_oldest_exclusive_producer",
         .flags = exclusive_producer,
         .overflow = Overflow::drop_oldest,
         .consumers = 2,
         .sends = 6,
         .blocks = true},
        {.name = "purge", .producers = 2, .consumers = 2, .verbs = nacks, .purges = 2},
        {.name = "purge_exclusive_consumer",
         .flags = exclusive_consumer,
         .producers = 2,
         .verbs = nacks | acks_through,
         .purges = 2},
    };
}

std::vector<Scenario> deaths() {
    return {
        {.name = "deaths",
         .producers = 2,
         .consumers = 3,
         .verbs = nacks | rejects | extends,
         .give_ups = true,
         .kills_producers = true,
         .kills_consumers = true,
         .newcomers = 2},
        {.name = "deaths_with_expiry",
         .producers = 2,
         .consumers = 3,
         .verbs = nacks | rejects | extends,
         .kills_producers = true,
         .kills_consumers = true,
         .sweeps = 4},
        {.name = "deaths_exclusive",
         .flags = exclusive_producer | exclusive_consumer,
         .sends = 5,
         .verbs = nacks | acks_through,
         .kills_producers = true,
         .kills_consumers = true,
         .newcomers = 3},
        {.name = "purge_deaths_exclusive_consumer",
         .flags = exclusive_consumer,
         .producers = 2,
         .kills_consumers = true,
         .purges = 2,
         .newcomers = 1},
        {.name = "deaths_exclusive_consumer",
         .flags = exclusive_consumer,
         .producers = 2,
         .verbs = nacks | acks_through,
         .kills_producers = true,
         .kills_consumers = true,
         .newcomers = 2},
        {.name = "supervisor_dies",
         .producers = 2,
         .consumers = 3,
         .verbs = nacks | rejects,
         .kills_producers = true,
         .kills_consumers = true,
         .kills_supervisor = true,
         .sweeps = 2},
        {.name = "supervisor_dies_exclusive",
         .flags = exclusive_consumer,
         .producers = 2,
         .verbs = nacks,
         .kills_consumers = true,
         .kills_supervisor = true,
         .newcomers = 2},
        {.name = "detach_and_come_again",
         .producers = 2,
         .consumers = 3,
         .verbs = nacks,
         .detaches = true,
         .newcomers = 3},
        {.name = "drop_oldest_deaths",
         .overflow = Overflow::drop_oldest,
         .producers = 3,
         .consumers = 2,
         .kills_producers = true,
         .kills_consumers = true},
    };
}

std::vector<Scenario> with_blocks() {
    return {
        {.name = "blocks",
         .producers = 2,
         .consumers = 2,
         .verbs = nacks | rejects,
         .blocks = true},
        {.name = "blocks_deaths",
         .producers = 2,
         .consumers = 3,
         .verbs = nacks,
         .blocks = true,
         .kills_producers = true,
         .kills_consumers = true},
        {.name = "block_of_a_moment",
         .capacity = 2,
         .consumers = 2,
         .sends = 2,
         .batch = 1,
         .blocks = true,
         .prefill = false,
         .kills_consumers = true,
         .stops = true},
        {.name = "blocks_supervisor_dies",
         .producers = 2,
         .consumers = 2,
         .blocks = true,
         .kills_producers = true,
         .kills_consumers = true,
         .kills_supervisor = true},
        {.name = "blocks_drop_oldest",
         .overflow = Overflow::drop_oldest,
         .producers = 2,
         .consumers = 2,
         .sends = 5,
         .blocks = true},
    };
}

std::vector<Scenario> asleep() {
    return {
        {.name = "sleep_2x2", .producers = 2, .consumers = 2, .sleeps = true},
        {.name = "sleep_nack", .producers = 2, .consumers = 2, .verbs = nacks, .sleeps = true},
        // So many cells that a look at a few of them does not find every return by itself.
        {.name = "sleep_nack_ring_of_64",
         .capacity = 64,
         .producers = 2,
         .consumers = 2,
         .sends = 10,
         .verbs = nacks,
         .sleeps = true},
        {.name = "sleep_exclusive",
         .flags = exclusive_producer | exclusive_consumer,
         .sends = 6,
         .sleeps = true},
        {.name = "sleep_interrupted",
         .producers = 2,
         .consumers = 2,
         .sleeps = true,
         .interrupts = true},
        {.name = "sleep_deaths",
         .producers = 2,
         .consumers = 3,
         .sleeps = true,
         .kills_producers = true,
         .kills_consumers = true},
        {.name = "sleep_blocks_deaths",
         .producers = 2,
         .consumers = 3,
         .blocks = true,
         .sleeps = true,
         .kills_producers = true,
         .kills_consumers = true},
        {.name = "sleep_supervisor_dies",
         .producers = 2,
         .consumers = 3,
         .sleeps = true,
         .kills_producers = true,
         .kills_consumers = true,
         .kills_supervisor = true},
        {.name = "sleep_give_ups",
         .producers = 3,
         .consumers = 2,
         .sleeps = true,
         .give_ups = true},
    };
}

}  // namespace

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all = [] {
        std::vector<Scenario> together;
        for (const auto& part : {plain(), verbs(), deaths(), with_blocks(), asleep()}) {
            together.insert(together.end(), part.begin(), part.end());
        }
        return together;
    }();
    return all;
}

const Scenario* find_scenario(const std::string& name) {
    for (const Scenario& scenario : scenarios()) {
        if (scenario.name == name) return &scenario;
    }
    return nullptr;
}

}  // namespace shmq::schedule

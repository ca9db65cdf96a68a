// The chaos engine of the command line (`shmq chaos`) on each kind of queue.
#include <gtest/gtest.h>

#include <cstdio>

#include "cli/chaos/engine.hpp"
#include "support/seed.hpp"

namespace shmq::chaos {
namespace {

struct Cast {
    const char* name;
    bool exclusive_producer;
    bool exclusive_consumer;
    std::uint32_t producers;
    std::uint32_t consumers;
    std::uint32_t payload_most;
    bool daemon;
    Overflow overflow = Overflow::block;
    Durability durability = Durability::accepted;
};

class ChaosTest : public testing::TestWithParam<Cast> {};

TEST_P(ChaosTest, LosesNothing) {
    const Cast& cast = GetParam();
    Plan plan;
    plan.daemon_program = SHMQ_TEST_BIN_DIR "/shmqd";
    plan.options.capacity = 64;
    plan.options.lease = std::chrono::seconds(2);
    plan.options.exclusive_producer = cast.exclusive_producer;
    plan.options.exclusive_consumer = cast.exclusive_consumer;
    plan.options.in_flight = 8;
    plan.options.overflow = cast.overflow;
    plan.options.durability = cast.durability;
    // So that its end is reached now and then.
    if (cast.overflow == Overflow::spill) plan.options.spill_limit = std::uint64_t{8} << 20;
    plan.producers = cast.producers;
    plan.consumers = cast.consumers;
    plan.payload_most = cast.payload_most;
    plan.time = support::test_all() ? std::chrono::seconds(150) : std::chrono::seconds(6);
    plan.seed = support::test_seed(cast.name);
    plan.daemon = cast.daemon;
    const Outcome outcome = run(plan);
    std::printf("%s: %llu kills, %llu of daemons, %llu of keepers\n%s", cast.name,
                static_cast<unsigned long long>(outcome.kills.total()),
                static_cast<unsigned long long>(outcome.kills.daemons),
                static_cast<unsigned long long>(outcome.kills.keepers), outcome.text.c_str());
    for (const std::string& problem : outcome.problems)
        ADD_FAILURE() << problem;
    EXPECT_GT(outcome.kills.total(), 10u);
    EXPECT_GT(outcome.totals.confirmed, 1000u);
    // In six seconds it may happen that no daemon's turn comes.
    if (cast.daemon && support::test_all()) {
        EXPECT_GT(outcome.kills.daemons + outcome.kills.keepers, 1u);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Chaos, ChaosTest,
    testing::Values(Cast{"Shared", false, false, 3, 3, 32, false},
                    Cast{"SharedWithBlocks", false, false, 3, 3, 5000, true},
                    Cast{"ExclusiveBoth", true, true, 1, 1, 2000, true},
                    Cast{"ExclusiveProducer", true, false, 1, 3, 32, true},
                    Cast{"ExclusiveConsumer", false, true, 3, 1, 2000, true},
                    Cast{"Spill", false, false, 3, 2, 5000, true, Overflow::spill},
                    Cast{"SpillExclusiveBoth", true, true, 1, 1, 200, true, Overflow::spill},
                    Cast{"Durable", false, false, 3, 3, 3000, true, Overflow::spill,
                         Durability::durable}),
    [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace shmq::chaos

// Every operation, killed and stopped at every instant.
//
//   SHMQ_TEST_SEED=n                       which instants (default: random; always printed)
//   SHMQ_TEST_ALL=1                        all of them
//   SHMQ_STEP_REPLAY=scenario:fate:instant only that one
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "step/explorer.hpp"
#include "support/seed.hpp"

namespace shmq::step {
namespace {

constexpr std::uint32_t quick_one_in = 160;
constexpr std::uint32_t quick_one_in_with_journal = 400;  // whose trials take longer

const char* replay() {
    const char* given = std::getenv("SHMQ_STEP_REPLAY");
    return given != nullptr && *given != '\0' ? given : nullptr;
}

std::uint64_t seed() {
    static const std::uint64_t value = support::test_seed("step");
    return value;
}

void explore_and_tell(const Scenario& scenario, const Choice& choice) {
    const Explored explored = explore(scenario, choice);
    std::printf("%-48s %7llu instants %8llu trials %5llu real kills\n", scenario.name.c_str(),
                static_cast<unsigned long long>(explored.instants),
                static_cast<unsigned long long>(explored.trials),
                static_cast<unsigned long long>(explored.kills));
    EXPECT_TRUE(explored.breach.empty()) << scenario.name << ", " << explored.breach;
}

class StepTest : public testing::TestWithParam<Scenario> {};

TEST_P(StepTest, KilledAndStoppedEverywhere) {
    if (replay() != nullptr) GTEST_SKIP() << "one instant is replayed";
    Choice choice;
    choice.seed = seed();
    const bool journal = (GetParam().setting.flags & shm::journal_present) != 0;
    choice.one_in = support::test_all() ? 1 : journal ? quick_one_in_with_journal : quick_one_in;
    explore_and_tell(GetParam(), choice);
}

INSTANTIATE_TEST_SUITE_P(All, StepTest, testing::ValuesIn(scenarios()),
                         [](const auto& one) { return one.param.name; });

TEST(StepReplay, OneInstant) {
    if (replay() == nullptr) GTEST_SKIP() << "SHMQ_STEP_REPLAY=scenario:fate:instant names none";
    const std::string text = replay();
    const auto first = text.find(':');
    const auto second = text.find(':', first + 1);
    ASSERT_NE(second, std::string::npos) << "scenario:fate:instant is wanted";
    const Scenario* scenario = find_scenario(text.substr(0, first));
    ASSERT_NE(scenario, nullptr) << "no such scenario";
    Choice choice;
    choice.only = std::strtoull(text.c_str() + second + 1, nullptr, 10);
    for (std::size_t i = 0; i < fates; ++i) {
        const auto fate = static_cast<Fate>(i);
        if (text.substr(first + 1, second - first - 1) == fate_name(fate)) choice.only_fate = fate;
    }
    ASSERT_TRUE(choice.only_fate) << "no such fate";
    explore_and_tell(*scenario, choice);
}

}  // namespace
}  // namespace shmq::step

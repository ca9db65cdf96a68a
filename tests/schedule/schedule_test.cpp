// Seeded schedules of every scenario, as many as fit the time; and that together they reach every
// row of the transition table and every race that the design names.
//
//   SHMQ_TEST_SEED=n             first seed (default: from the clock; always printed)
//   SHMQ_TEST_ALL=1              twenty times as long
//   SHMQ_SCHEDULE_REPLAY=name:n  only that schedule, with its trace
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "schedule/scenarios.hpp"

// The loop of client/waiting.hpp is used as it is; as on one processor it sleeps without spinning,
// which would only lengthen the schedules.
unsigned std::thread::hardware_concurrency() noexcept {
    return 1;
}

namespace shmq::schedule {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto time_a_scenario = std::chrono::milliseconds(400);
constexpr auto time_of_coverage = std::chrono::milliseconds(150);  // a scenario
constexpr std::uint64_t rounds_of_coverage = 8;
constexpr int long_factor = 20;

const char* setting(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

std::uint64_t first_seed() {
    static const std::uint64_t seed = [] {
        const char* given = setting("SHMQ_TEST_SEED");
        const auto now = Clock::now().time_since_epoch().count();
        const std::uint64_t chosen = given != nullptr
                                         ? std::strtoull(given, nullptr, 0)
                                         : Random(static_cast<std::uint64_t>(now)).next() >> 32;
        std::printf("SHMQ_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
        return chosen;
    }();
    return seed;
}

bool run_once(const Scenario& scenario, std::uint64_t seed, std::uint64_t& steps,
              std::size_t trace_lines) {
    Rig rig(scenario, seed);
    const std::string breach = rig.run();
    steps += rig.steps();
    if (breach.empty() && trace_lines == 0) return true;
    std::printf("%s", rig.trace(trace_lines == 0 ? 100 : trace_lines).c_str());
    if (breach.empty()) return true;
    ADD_FAILURE() << breach << "\n  replay: SHMQ_SCHEDULE_REPLAY=" << scenario.name << ":" << seed;
    return false;
}

// Schedules with seeds from `seed` on until the time is over.
void run_for(const Scenario& scenario, std::uint64_t seed, std::chrono::milliseconds time) {
    if (setting("SHMQ_TEST_ALL") != nullptr) time *= long_factor;
    const auto end = Clock::now() + time;
    std::uint64_t steps = 0;
    std::uint64_t schedules = 0;
    do {
        if (!run_once(scenario, seed + schedules, steps, 0)) return;
        ++schedules;
    } while (Clock::now() < end);
    std::printf("%-32s %8llu schedules %10llu steps\n", scenario.name,
                static_cast<unsigned long long>(schedules), static_cast<unsigned long long>(steps));
}

class ScheduleTest : public testing::TestWithParam<Scenario> {};

TEST_P(ScheduleTest, KeepsItsPromises) {
    if (setting("SHMQ_SCHEDULE_REPLAY") != nullptr) GTEST_SKIP() << "one schedule is replayed";
    run_for(GetParam(), first_seed(), time_a_scenario);
}

INSTANTIATE_TEST_SUITE_P(All, ScheduleTest, testing::ValuesIn(scenarios()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(ScheduleReplay, OneSchedule) {
    const char* given = setting("SHMQ_SCHEDULE_REPLAY");
    if (given == nullptr) GTEST_SKIP() << "SHMQ_SCHEDULE_REPLAY=name:seed names none";
    const std::string text = given;
    const auto colon = text.find(':');
    ASSERT_NE(colon, std::string::npos) << "name:seed is wanted";
    const Scenario* scenario = find_scenario(text.substr(0, colon));
    ASSERT_NE(scenario, nullptr) << "no such scenario";
    std::uint64_t steps = 0;
    run_once(*scenario, std::strtoull(text.c_str() + colon + 1, nullptr, 0), steps, 400);
}

std::vector<std::string> unreached() {
    std::vector<std::string> missing;
    for (std::size_t row = 0; row < static_cast<std::size_t>(Row::rows); ++row) {
        if (times(static_cast<Row>(row)) == 0) missing.push_back(row_name(static_cast<Row>(row)));
    }
    for (std::size_t race = 0; race < static_cast<std::size_t>(Race::races); ++race) {
        if (times(static_cast<Race>(race)) == 0)
            missing.push_back(race_name(static_cast<Race>(race)));
    }
    return missing;
}

// Every scenario in one process, because the counts are kept in it; again with other seeds while
// something is missing: a busy machine gets fewer schedules into the same time.
TEST(ScheduleCoverage, ReachesEveryRowAndEveryRace) {
    if (setting("SHMQ_SCHEDULE_REPLAY") != nullptr) GTEST_SKIP() << "one schedule is replayed";
    for (std::uint64_t round = 1; round <= rounds_of_coverage; ++round) {
        for (const Scenario& scenario : scenarios())
            run_for(scenario, first_seed() + round * 0x100000, time_of_coverage);
        if (unreached().empty()) break;
    }
    std::printf("%s", coverage_table().c_str());
    for (const std::string& missing : unreached())
        ADD_FAILURE() << "never reached: " << missing;
}

}  // namespace
}  // namespace shmq::schedule

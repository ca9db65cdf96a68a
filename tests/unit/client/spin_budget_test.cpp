#include "client/spin_budget.hpp"

#include <gtest/gtest.h>

namespace shmq {
namespace {

// Waits in vain until the next spin is a long one; how many it took.
unsigned waits_until_try(SpinBudget& budget) {
    unsigned waits = 0;
    while (budget.rounds() != spins_most) {
        budget.was_in_vain();
        ++waits;
    }
    return waits;
}

TEST(SpinBudgetTest, ItGrowsWhileSpinningPaysAndShrinksWhileNot) {
    SpinBudget budget(64);
    EXPECT_EQ(budget.rounds(), 64u);
    budget.paid();
    EXPECT_EQ(budget.rounds(), 128u);
    budget.paid();
    budget.paid();
    EXPECT_EQ(budget.rounds(), spins_most);
    for (int wait = 0; wait < 6; ++wait)
        budget.was_in_vain();
    EXPECT_EQ(budget.rounds(), spins_least);
}

TEST(SpinBudgetTest, OnceInAWhileItTriesALongSpinAndKeepsToItIfThatPays) {
    SpinBudget budget(spins_least);
    EXPECT_EQ(waits_until_try(budget), SpinBudget::waits_before_try_least);
    budget.paid();
    EXPECT_EQ(budget.rounds(), spins_most);
    budget.paid();
    EXPECT_EQ(budget.rounds(), spins_most);
    budget.was_in_vain();
    EXPECT_EQ(budget.rounds(), spins_most / 2);
}

TEST(SpinBudgetTest, WhoeverSleepsForLongTriesEverMoreRarely) {
    SpinBudget budget(spins_least);
    unsigned before = waits_until_try(budget);
    for (int tries = 0; tries < 12; ++tries) {
        budget.was_in_vain();
        EXPECT_EQ(budget.rounds(), spins_least);
        const unsigned waits = waits_until_try(budget) + 1;
        EXPECT_EQ(waits, std::min(2 * before, SpinBudget::waits_before_try_most));
        before = waits;
    }
}

TEST(SpinBudgetTest, OnOneProcessorItNeverSpins) {
    SpinBudget budget(0);
    for (int wait = 0; wait < 3000; ++wait) {
        budget.was_in_vain();
        ASSERT_EQ(budget.rounds(), 0u);
    }
}

}  // namespace
}  // namespace shmq

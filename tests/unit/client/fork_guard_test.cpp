#include "client/fork_guard.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shmq {
namespace {

// Runs `check` in a child; its answer.
template <typename Check>
bool in_child(Check&& check) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(check() ? 0 : 1);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(ForkGuard, KnowsTheProcessItWasMadeIn) {
    const ForkGuard parent;
    EXPECT_FALSE(parent.forked());
    EXPECT_TRUE(in_child([&] {
        const ForkGuard child;
        return parent.forked() && !child.forked();
    }));
    EXPECT_FALSE(parent.forked());
}

TEST(ForkGuard, AGrandchildIsToldToo) {
    const ForkGuard guard;
    EXPECT_TRUE(in_child([&] {
        const ForkGuard child;
        return in_child([&] { return guard.forked() && child.forked(); }) && !child.forked();
    }));
}

}  // namespace
}  // namespace shmq

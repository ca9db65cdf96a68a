// What is left to a successor has to come back to it: all names in one variable of its environment.
#include "daemon/keeper/store.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <string>

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "daemon/io/io.hpp"
#include "daemon/keeper/inherited.hpp"
#include "daemon/timers.hpp"

namespace shmq::daemon {
namespace {

// Whether a program can be started with them, as a keeper or a manager starts the daemon.
bool can_be_left(const std::string& names) {
    std::string variable = "LISTEN_FDNAMES=" + names;
    std::string program = "/bin/true";
    char* arguments[] = {program.data(), nullptr};
    char* environment[] = {variable.data(), nullptr};
    pid_t child = -1;
    if (::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environment) != 0) {
        return false;
    }
    int status = -1;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

class StoreNames : public testing::Test {
  protected:
    bool keep(const std::string& name) {
        if (!store.has_room_for(name)) return false;
        store.keep(name, -1);
        names += name + ":";
        return true;
    }

    std::string refusal;
    std::unique_ptr<Io> io = Io::create(IoChoice::epoll, refusal);
    Timers timers;
    Store store{*io, timers};
    std::string names;
};

TEST_F(StoreNames, as_many_queues_as_may_be_and_their_processes_can_be_left) {
    for (const auto& name : {kept::keeper, kept::listener, kept::lock, kept::roster})
        EXPECT_TRUE(keep(std::string(name)));
    EXPECT_TRUE(keep(std::string(kept::catalogue)));
    for (std::uint64_t number = 1; number <= limits::queues_max; ++number) {
        ASSERT_TRUE(keep(kept_name(kept::ring, number))) << number;
        ASSERT_TRUE(keep(kept_name(kept::pool, number))) << number;
    }
    // Of processes whose numbers have become long, too.
    std::uint64_t processes = 0;
    while (keep(kept_name(kept::process, 36ULL * 36 * 36 * 36 + processes)))
        ++processes;
    EXPECT_GT(processes, 500u);
    EXPECT_TRUE(can_be_left(names)) << names.size() << " bytes";
    EXPECT_FALSE(can_be_left(names + std::string(2048, 'x'))) << "there is no such limit here";
}

TEST_F(StoreNames, what_was_let_go_of_makes_room) {
    std::uint64_t number = 1;
    while (keep(kept_name(kept::process, number)))
        ++number;
    const std::string one_more = kept_name(kept::process, number);
    EXPECT_FALSE(store.has_room_for(one_more));
    store.keep(kept_name(kept::process, number - 1), -1);  // the same name once more
    EXPECT_FALSE(store.has_room_for(one_more));
    store.drop(kept_name(kept::process, number - 1));
    EXPECT_TRUE(store.has_room_for(one_more));
}

}  // namespace
}  // namespace shmq::daemon

#include <gtest/gtest.h>

#include "daemon/configuration/configuration.hpp"

namespace shmq::daemon {
namespace {

TEST(NearestName, KnowsWhatWasMeantAndWhatWasNot) {
    const std::vector<std::string_view> known = {"log_level", "socket", "state_directory", "keeper",
                                                 "idle_exit"};
    EXPECT_EQ(nearest_name("log_levle", known), "log_level");
    EXPECT_EQ(nearest_name("sokcet", known), "socket");
    EXPECT_EQ(nearest_name("idle-exit", known), "idle_exit");
    EXPECT_EQ(nearest_name("level", known), "log_level");
    EXPECT_EQ(nearest_name("state_dir", known), "state_directory");
    EXPECT_EQ(nearest_name("keepers", known), "keeper");
    EXPECT_EQ(nearest_name("colour", known), "");
    EXPECT_EQ(nearest_name("", known), "");
}

}  // namespace
}  // namespace shmq::daemon

#include "daemon/journald.hpp"

#include <gtest/gtest.h>

namespace shmq::daemon {
namespace {

TEST(Journald, FieldsAreTakenFromTheLine) {
    EXPECT_EQ(journal_fields("queue a/b created by uid 7 (pid 42): 64 slots", spdlog::level::info),
              "PRIORITY=6\nSYSLOG_IDENTIFIER=shmqd\n"
              "MESSAGE=queue a/b created by uid 7 (pid 42): 64 slots\n"
              "SHMQ_QUEUE=a/b\nSHMQ_PID=42\n");
    EXPECT_EQ(journal_fields("queue jobs: it is full", spdlog::level::warn),
              "PRIORITY=4\nSYSLOG_IDENTIFIER=shmqd\nMESSAGE=queue jobs: it is full\n"
              "SHMQ_QUEUE=jobs\n");
    EXPECT_EQ(journal_fields("process 17 (x, uid 1) ended", spdlog::level::err),
              "PRIORITY=3\nSYSLOG_IDENTIFIER=shmqd\nMESSAGE=process 17 (x, uid 1) ended\n"
              "SHMQ_PID=17\n");
}

TEST(Journald, NoLineMakesAFieldOfItsOwn) {
    const std::string fields =
        journal_fields("queue a\nSHMQ_PID=1\n\nqueue \xff", spdlog::level::info);
    EXPECT_EQ(fields,
              "PRIORITY=6\nSYSLOG_IDENTIFIER=shmqd\n"
              "MESSAGE=queue a SHMQ_PID=1  queue \xff\nSHMQ_QUEUE=a\n");
}

}  // namespace
}  // namespace shmq::daemon

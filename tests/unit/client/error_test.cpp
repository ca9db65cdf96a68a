#include <shmq/error.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

#include <shmq/queue.hpp>

namespace shmq {
namespace {

constexpr Condition every_condition[] = {Condition::nothing,
                                         Condition::timed_out,
                                         Condition::full,
                                         Condition::stale,
                                         Condition::in_flight_limit,
                                         Condition::queue_removed,
                                         Condition::too_big,
                                         Condition::interrupted,
                                         Condition::queue_not_found,
                                         Condition::queue_exists,
                                         Condition::permission_denied,
                                         Condition::role_taken,
                                         Condition::invalid_argument,
                                         Condition::quota_exceeded,
                                         Condition::queue_in_use,
                                         Condition::no_daemon,
                                         Condition::protocol_error,
                                         Condition::incompatible,
                                         Condition::corrupt,
                                         Condition::forked,
                                         Condition::closed,
                                         Condition::quarantined,
                                         Condition::system_error};

TEST(Errors, EveryConditionHasANameAndATextOfItsOwn) {
    std::set<std::string> names;
    std::set<std::string> texts;
    for (const Condition condition : every_condition) {
        names.insert(condition_name(condition));
        texts.insert(Error(condition).message());
    }
    EXPECT_EQ(names.size(), std::size(every_condition));
    EXPECT_EQ(texts.size(), std::size(every_condition));
    EXPECT_EQ(names.count("unknown"), 0u);
    EXPECT_STREQ(condition_name(Condition::queue_removed), "queue_removed");
    EXPECT_STREQ(condition_name(static_cast<Condition>(999)), "unknown");
    EXPECT_FALSE(Error(static_cast<Condition>(999)).message().empty());
}

TEST(Errors, ARemovedQueueSaysSo) {
    EXPECT_NE(Error(Condition::queue_removed).message().find("queue removed"), std::string::npos);
}

TEST(Errors, ATextIsCopiedAndNeverEmpty) {
    const Error error(Condition::full, "queue 'q' is full", EAGAIN);
    Error copy = error;
    EXPECT_EQ(copy.message(), "queue 'q' is full");
    EXPECT_EQ(copy.condition(), Condition::full);
    EXPECT_EQ(copy.os_error(), EAGAIN);
    copy = Error(Condition::stale);
    EXPECT_EQ(copy.condition(), Condition::stale);
    copy = error;
    EXPECT_EQ(copy.message(), error.message());
    EXPECT_FALSE(Error(Condition::full, "").message().empty());
}

TEST(Errors, WithoutATextTheSystemSpeaks) {
    EXPECT_NE(Error(Condition::system_error, ENOMEM).message().find("Cannot allocate memory"),
              std::string::npos);
}

TEST(Errors, ThrowWhereAskedTo) {
    EXPECT_EQ(value_or_throw(Result<int>(7)), 7);
    try {
        value_or_throw(Result<int>(Error(Condition::queue_not_found, "no queue 'q'")));
        FAIL() << "nothing was thrown";
    } catch (const Exception& exception) {
        EXPECT_STREQ(exception.what(), "no queue 'q'");
        EXPECT_EQ(exception.error().condition(), Condition::queue_not_found);
    }
    EXPECT_NO_THROW(value_or_throw(Result<void>()));
    EXPECT_THROW(value_or_throw(Result<void>(Condition::full)), Exception);
}

TEST(QueueNames, AreCheckedAsTheDaemonDoes) {
    EXPECT_EQ(check_queue_name("a/b-c.d_9"), "");
    EXPECT_NE(check_queue_name(""), "");
    EXPECT_NE(check_queue_name("a//b"), "");
}

}  // namespace
}  // namespace shmq

// The command line as CLI11 gets it: messages must arrive as they were typed.
#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "cli/command_line.hpp"

namespace shmq::cli {
namespace {

Arguments split(std::initializer_list<const char*> words) {
    return split_arguments(std::span(words.begin(), words.size()));
}

TEST(CliArguments, TheVerbIsTheFirstWordThatIsNoOption) {
    EXPECT_EQ(split({"send", "q"}).verb, "send");
    EXPECT_EQ(split({"--socket", "send", "ls"}).verb, "ls");
    EXPECT_EQ(split({"--socket=x", "ls"}).verb, "ls");
    EXPECT_EQ(split({"--help"}).verb, "");
    EXPECT_EQ(split({}).verb, "");
}

TEST(CliArguments, WhatFollowsTwoDashesIsTakenAsItIs) {
    const Arguments arguments = split({"send", "q", "a", "--", "--null", "--", "[x]"});
    EXPECT_EQ(arguments.words, (std::vector<std::string>{"send", "q", "a"}));
    EXPECT_EQ(arguments.tail, (std::vector<std::string>{"--null", "--", "[x]"}));
}

TEST(CliArguments, VerbsWithoutMessagesLeaveTheTailToTheParser) {
    EXPECT_EQ(split({"info", "--", "q"}).words, (std::vector<std::string>{"info", "--", "q"}));
}

TEST(CliArguments, ListsInBracketsComeBackWhole) {
    const Arguments arguments = split({"send", "q", "[1,2]", "\x01raw", "plain", "++"});
    EXPECT_NE(arguments.words[2], "[1,2]");
    EXPECT_EQ(unmark(arguments.words[2]), "[1,2]");
    EXPECT_EQ(unmark(arguments.words[3]), "\x01raw");
    EXPECT_EQ(unmark(arguments.words[4]), "plain");
    EXPECT_NE(arguments.words[5], "++");
    EXPECT_EQ(unmark(arguments.words[5]), "++");
}

TEST(CliStatus, ConditionsHaveTheirExitStatus) {
    EXPECT_EQ(status_of(Condition::timed_out), Exit::nothing);
    EXPECT_EQ(status_of(Condition::nothing), Exit::nothing);
    EXPECT_EQ(status_of(Condition::no_daemon), Exit::no_daemon);
    EXPECT_EQ(status_of(Condition::invalid_argument), Exit::usage);
    EXPECT_EQ(status_of(Condition::queue_not_found), Exit::failed);
    EXPECT_EQ(status_of(Condition::full), Exit::failed);
}

TEST(CliVerbs, EachHasASummaryAndAnExample) {
    for (const Verb* verb : verbs()) {
        EXPECT_FALSE(verb->summary.empty()) << verb->name;
        EXPECT_NE(verb->example.find("shmq " + std::string(verb->name)), std::string_view::npos)
            << verb->name;
    }
}

}  // namespace
}  // namespace shmq::cli

#include "cli/table.hpp"

#include <unistd.h>

#include <gtest/gtest.h>

#include "cli/process.hpp"
#include "cli/progress.hpp"

namespace shmq::cli {
namespace {

TEST(CliTable, ColumnsAreAlignedAndLinesEndWithoutBlanks) {
    Table table{{"NAME"}, {"READY", Table::Align::right}, {"NOTE"}};
    table.add_row({"jobs", "12", ""});
    table.add_row({"a-long-name", "1,234,567", "x"});
    EXPECT_EQ(table.text(),
              "NAME             READY  NOTE\n"
              "jobs                12\n"
              "a-long-name  1,234,567  x\n");
}

TEST(CliTable, WithoutRowsIsItsTitles) {
    EXPECT_EQ((Table{{"NAME"}, {"READY", Table::Align::right}}.text()), "NAME  READY\n");
}

TEST(CliTable, CountsCharactersAndNotBytes) {
    Table table{{"N"}, {"X"}};
    table.add_row({"\xC3\xA4\xC3\xA4", "1"});
    table.add_row({"aa", "1"});
    EXPECT_EQ(table.text(), "N   X\n\xC3\xA4\xC3\xA4  1\naa  1\n");
}

TEST(CliTable, FieldsPutValuesBelowEachOther) {
    Fields fields;
    fields.add("pid", "7");
    fields.add("version", "1");
    EXPECT_EQ(fields.text(), "pid      7\nversion  1\n");
}

TEST(CliProgress, SaysMessagesRateAndBytes) {
    EXPECT_EQ(progress_line(1'234'567, std::uint64_t{64} << 20, 2'345'678.9),
              "1,234,567 messages  2,345,678/s  64 MiB");
    EXPECT_EQ(progress_line(0, 0, -1), "0 messages  0/s  0 B");
}

TEST(CliProcess, StateIsFoundBehindAnyName) {
    EXPECT_EQ(state_in_stat("12 (cat) S 1 12 12 0"), 'S');
    EXPECT_EQ(state_in_stat("12 (a) R b) T 1 12"), 'T');
    EXPECT_EQ(state_in_stat("12 (a)"), '?');
    EXPECT_EQ(state_in_stat(""), '?');
}

TEST(CliProcess, KnowsItselfAndNobody) {
    EXPECT_EQ(look_at_process(static_cast<std::uint32_t>(::getpid())).state, 'R');
    EXPECT_FALSE(look_at_process(static_cast<std::uint32_t>(::getpid())).executable.empty());
    EXPECT_EQ(look_at_process(0).state, '?');
}

}  // namespace
}  // namespace shmq::cli

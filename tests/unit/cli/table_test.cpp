#include "cli/table.hpp"

#include <unistd.h>

#include <gtest/gtest.h>

#include "cli/process.hpp"
#include "cli/progress.hpp"
#include "cli/terminal.hpp"

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

TEST(CliTable, ColoursChangeNoColumns) {
    Table table{{"NAME"}, {"READY", Table::Align::right}};
    table.add_row({"a", "1"});
    table.add_row({"broken", "2"}, true);
    EXPECT_EQ(table.text(true),
              "\x1b[1mNAME    READY\x1b[0m\n"
              "a           1\n"
              "\x1b[1m\x1b[31mbroken      2\x1b[0m\n");
    Fields fields;
    fields.add("name", "q");
    fields.add("alarm", "full", true);
    EXPECT_EQ(fields.text(true),
              "\x1b[1mname \x1b[0m  q\n"
              "\x1b[1malarm\x1b[0m  \x1b[1m\x1b[31mfull\x1b[0m\n");
}

TEST(CliTerminal, WrapsAtBlanksAndKeepsLongWordsWhole) {
    EXPECT_EQ(wrap("one two three", 0), "one two three");
    EXPECT_EQ(wrap("one two three", 13), "one two three");
    EXPECT_EQ(wrap("one two three", 12), "one two\nthree");
    EXPECT_EQ(wrap("one two three", 3), "one\ntwo\nthree");
    EXPECT_EQ(wrap("a incomprehensible b", 4), "a\nincomprehensible\nb");
    EXPECT_EQ(wrap("one\ntwo three\n", 9), "one\ntwo three\n");
    EXPECT_EQ(wrap("", 9), "");
}

TEST(CliTable, ColumnsGoWhereTheTerminalIsTooNarrow) {
    Table table{{"NAME"},
                {"READY", Table::Align::right},
                {"SENT", Table::Align::right, 1},
                {"ACKED", Table::Align::right, 2},
                {"NOTE"}};
    table.add_row({"jobs", "12", "1", "2", "a note that is long"});
    EXPECT_EQ(table.text(false, 42),
              "NAME  READY  SENT  NOTE\n"
              "jobs     12     1  a note that is long\n");
    EXPECT_EQ(table.text(false, 34),
              "NAME  READY  NOTE\n"
              "jobs     12  a note that is long\n");
    EXPECT_EQ(table.text(false, 24),
              "NAME  READY  NOTE\n"
              "jobs     12  a note tha…\n");
    // What cannot be left out stays, if it does not fit either.
    EXPECT_EQ(table.text(false, 3),
              "NAME  READY  NOTE\n"
              "jobs     12  a note …\n");
    EXPECT_EQ(table.text(false, 0), table.text(false, 200));
}

TEST(CliTable, CutsBetweenCharacters) {
    EXPECT_EQ(cut_to("\xC3\xA4\xC3\xA4\xC3\xA4", 3), "\xC3\xA4\xC3\xA4\xC3\xA4");
    EXPECT_EQ(cut_to("\xC3\xA4\xC3\xA4\xC3\xA4", 2), "\xC3\xA4…");
    EXPECT_EQ(cut_to("abc", 0), "");
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

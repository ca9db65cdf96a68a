#include "cli/text.hpp"

#include <array>

#include <gtest/gtest.h>

namespace shmq::cli {
namespace {

using namespace std::string_view_literals;

TEST(CliText, ValidUtf8IsAllPrefix) {
    for (const std::string_view text :
         {""sv, "plain"sv, "\0x"sv, "\xC3\xA4"sv, "\xE2\x82\xAC"sv, "\xED\x9F\xBF"sv,
          "\xF0\x9F\x98\x80"sv, "\xF4\x8F\xBF\xBF"sv}) {
        EXPECT_EQ(valid_utf8_prefix(text), text.size()) << escape(text);
    }
}

TEST(CliText, BrokenUtf8EndsThePrefixWhereItBegins) {
    EXPECT_EQ(valid_utf8_prefix("ab\xFF"), 2u);
    EXPECT_EQ(valid_utf8_prefix("a\x80"), 1u);             // continuation alone
    EXPECT_EQ(valid_utf8_prefix("a\xC3"), 1u);             // cut
    EXPECT_EQ(valid_utf8_prefix("a\xE2\x82"), 1u);         // cut
    EXPECT_EQ(valid_utf8_prefix("\xC0\x80"), 0u);          // overlong
    EXPECT_EQ(valid_utf8_prefix("\xE0\x80\x80"), 0u);      // overlong
    EXPECT_EQ(valid_utf8_prefix("\xED\xA0\x80"), 0u);      // surrogate
    EXPECT_EQ(valid_utf8_prefix("\xF4\x90\x80\x80"), 0u);  // beyond U+10FFFF
    EXPECT_EQ(valid_utf8_prefix("\xF0\x9F\x98x"), 0u);
}

TEST(CliText, EscapeLetsNothingThroughThatATerminalActsOn) {
    EXPECT_EQ(escape("plain text"), "plain text");
    EXPECT_EQ(escape("a\nb\tc\rd\\e"), "a\\nb\\tc\\rd\\\\e");
    EXPECT_EQ(escape("\x1b[31m"), "\\x1b[31m");
    EXPECT_EQ(escape("\0\x7f"sv), "\\x00\\x7f");
    EXPECT_EQ(escape("\xC3\xA4"), "\xC3\xA4");
    EXPECT_EQ(escape("\xC2\x9B"
                     "0m"),
              "\\xc2\\x9b0m");  // CSI as one character
    EXPECT_EQ(escape("\xFFok"), "\\xffok");
    EXPECT_EQ(escape("\xC2\xA0"), "\xC2\xA0");
}

TEST(CliText, Base64OfTheStandardsExamples) {
    EXPECT_EQ(base64(""), "");
    EXPECT_EQ(base64("f"), "Zg==");
    EXPECT_EQ(base64("fo"), "Zm8=");
    EXPECT_EQ(base64("foo"), "Zm9v");
    EXPECT_EQ(base64("foob"), "Zm9vYg==");
    EXPECT_EQ(base64("\xFF\xFE\xFD"), "//79");
}

TEST(CliText, HexDumpShowsOffsetBytesAndText) {
    EXPECT_EQ(hex_dump(""), "");
    EXPECT_EQ(hex_dump("A\n"),
              "00000000  41 0a                                             |A.|\n");
    EXPECT_EQ(hex_dump("0123456789abcdefX"),
              "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
              "00000010  58                                                |X|\n");
}

TEST(CliText, NearestFindsWhatWasMeant) {
    constexpr std::array<std::string_view, 6> names{"create", "ls", "info", "send", "recv", "peek"};
    EXPECT_EQ(nearest("sned", names), "send");
    EXPECT_EQ(nearest("creat", names), "create");
    EXPECT_EQ(nearest("receive", names), "recv");
    EXPECT_EQ(nearest("inof", names), "info");
    EXPECT_EQ(nearest("sl", names), "ls");
    EXPECT_EQ(nearest("quetzalcoatl", names), "");
    EXPECT_EQ(nearest("x", names), "");
}

}  // namespace
}  // namespace shmq::cli

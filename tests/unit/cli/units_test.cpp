#include "cli/units.hpp"

#include <gtest/gtest.h>

namespace shmq::cli {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

TEST(CliSize, PlainNumbersAreBytes) {
    EXPECT_EQ(parse_size("0"), 0u);
    EXPECT_EQ(parse_size("65536"), 65536u);
    EXPECT_EQ(parse_size("17B"), 17u);
    EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
}

TEST(CliSize, UnitsWithoutBAreBinaryLikeUnitsWithIb) {
    EXPECT_EQ(parse_size("64K"), 65536u);
    EXPECT_EQ(parse_size("64k"), 65536u);
    EXPECT_EQ(parse_size("64KiB"), 65536u);
    EXPECT_EQ(parse_size("64M"), std::uint64_t{64} << 20);
    EXPECT_EQ(parse_size("64MiB"), std::uint64_t{64} << 20);
    EXPECT_EQ(parse_size("64 MiB"), std::uint64_t{64} << 20);
    EXPECT_EQ(parse_size("1G"), std::uint64_t{1} << 30);
    EXPECT_EQ(parse_size("2Ti"), std::uint64_t{2} << 40);
}

TEST(CliSize, UnitsWithBAreDecimal) {
    EXPECT_EQ(parse_size("64kB"), 64000u);
    EXPECT_EQ(parse_size("5MB"), 5'000'000u);
}

TEST(CliSize, FractionsMustComeToWholeBytes) {
    EXPECT_EQ(parse_size("1.5K"), 1536u);
    EXPECT_EQ(parse_size("0.5MiB"), 524288u);
    EXPECT_EQ(parse_size("1.0"), 1u);
    EXPECT_FALSE(parse_size("1.5"));
    EXPECT_FALSE(parse_size("1.3K"));
}

TEST(CliSize, RefusesWhatIsNoSize) {
    for (const char* text : {"", " ", "K", "-1", "+1", "1X", "1KK", "1 2", "0x10", "1e6", "1.",
                             ".5", "1.5.5", "99999999999999999999", "18446744073709551616",
                             "16384P", "1.0000000000000000000001K", "64MiBs", "٣"}) {
        EXPECT_FALSE(parse_size(text)) << text;
    }
}

TEST(CliDuration, ReadsEachUnit) {
    EXPECT_EQ(parse_duration("5ns"), 5ns);
    EXPECT_EQ(parse_duration("5us"), 5us);
    EXPECT_EQ(parse_duration("200ms"), 200ms);
    EXPECT_EQ(parse_duration("1.5s"), 1500ms);
    EXPECT_EQ(parse_duration("2m"), 120s);
    EXPECT_EQ(parse_duration("3h"), 3h);
    EXPECT_EQ(parse_duration("7d"), 168h);
    EXPECT_EQ(parse_duration("1h30m"), 90min);
    EXPECT_EQ(parse_duration("1 h 30 m"), 90min);
}

TEST(CliDuration, ABareNumberMeansSeconds) {
    EXPECT_EQ(parse_duration("0"), 0s);
    EXPECT_EQ(parse_duration("5"), 5s);
    EXPECT_EQ(parse_duration("0.25"), 250ms);
}

TEST(CliDuration, RefusesWhatIsNoDuration) {
    for (const char* text : {"", "s", "-1s", "1x", "1S", "1m30", "30 1m", "1s,", "1..5s", "101y",
                             "40000d", "99999999999999999999d", "inf", "nan"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

TEST(CliDuration, TheLongestStillFitsADeadline) {
    const auto longest = parse_duration("36500d");
    ASSERT_TRUE(longest);
    EXPECT_GT(std::chrono::steady_clock::now() + *longest, std::chrono::steady_clock::now());
}

TEST(CliMode, ReadsOctalAndNothingElse) {
    EXPECT_EQ(parse_mode("700"), 0700u);
    EXPECT_EQ(parse_mode("0750"), 0750u);
    EXPECT_EQ(parse_mode("3"), 3u);
    for (const char* text : {"", "0", "000", "800", "1000", "7777", "00750", "0o7", "u+rw", "-7"}) {
        EXPECT_FALSE(parse_mode(text)) << text;
    }
}

TEST(CliFormat, Sizes) {
    EXPECT_EQ(format_size(0), "0 B");
    EXPECT_EQ(format_size(1023), "1023 B");
    EXPECT_EQ(format_size(1024), "1 KiB");
    EXPECT_EQ(format_size(1536), "1.5 KiB");
    EXPECT_EQ(format_size((1 << 20) - 1), "1023.9 KiB");
    EXPECT_EQ(format_size(std::uint64_t{64} << 20), "64 MiB");
    EXPECT_EQ(format_size(UINT64_MAX), "16383.9 PiB");
}

TEST(CliFormat, Durations) {
    EXPECT_EQ(format_duration(-5ns), "0 ns");
    EXPECT_EQ(format_duration(999ns), "999 ns");
    EXPECT_EQ(format_duration(1500ns), "1.5 us");
    EXPECT_EQ(format_duration(12'345us), "12.3 ms");
    EXPECT_EQ(format_duration(1500ms), "1.5 s");
    EXPECT_EQ(format_duration(61s), "1m 1s");
    EXPECT_EQ(format_duration(3h + 12min), "3h 12m");
    EXPECT_EQ(format_duration(52h), "2d 4h");
}

TEST(CliFormat, ExactDurationsReadBackTheSame) {
    for (const nanoseconds duration :
         {nanoseconds(0), nanoseconds(1), nanoseconds(1500us), nanoseconds(30s), nanoseconds(90s),
          nanoseconds(168h), nanoseconds(1'234'567'891)}) {
        const std::string text = format_duration_exact(duration);
        EXPECT_EQ(parse_duration(text), duration) << text;
    }
    EXPECT_EQ(format_duration_exact(30s), "30s");
    EXPECT_EQ(format_duration_exact(1500ms), "1500ms");
    EXPECT_EQ(format_duration_exact(120s), "2m");
}

TEST(CliFormat, CountsHaveThousandsSeparators) {
    EXPECT_EQ(format_count(0), "0");
    EXPECT_EQ(format_count(999), "999");
    EXPECT_EQ(format_count(1000), "1,000");
    EXPECT_EQ(format_count(1'234'567), "1,234,567");
    EXPECT_EQ(format_count(UINT64_MAX), "18,446,744,073,709,551,615");
}

}  // namespace
}  // namespace shmq::cli

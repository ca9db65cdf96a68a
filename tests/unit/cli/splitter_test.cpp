#include "cli/splitter.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace shmq::cli {
namespace {

using namespace std::string_literals;

// All messages of `input`, fed in pieces of at most `piece` bytes.
std::vector<std::string> split(const std::string& input, char separator, std::size_t piece,
                               std::size_t buffer_bytes = 16) {
    Splitter splitter(separator, buffer_bytes);
    std::vector<std::string> out;
    const auto take = [&] {
        while (const auto message = splitter.next())
            out.emplace_back(*message);
    };
    for (std::size_t at = 0; at < input.size();) {
        const auto space = splitter.space();
        const std::size_t size = std::min({space.size(), piece, input.size() - at});
        std::memcpy(space.data(), input.data() + at, size);
        splitter.filled(size);
        at += size;
        take();
    }
    splitter.finish();
    take();
    EXPECT_EQ(splitter.count(), out.size());
    return out;
}

using Messages = std::vector<std::string>;

TEST(CliSplitter, NothingIsNoMessage) {
    EXPECT_EQ(split("", '\n', 1), Messages{});
}

TEST(CliSplitter, AnEmptyLineIsAnEmptyMessage) {
    EXPECT_EQ(split("\n", '\n', 1), Messages{""});
    EXPECT_EQ(split("a\n\nb\n", '\n', 100), (Messages{"a", "", "b"}));
}

TEST(CliSplitter, ALastLineWithoutNewlineIsAMessage) {
    EXPECT_EQ(split("a\nb", '\n', 100), (Messages{"a", "b"}));
    EXPECT_EQ(split("a", '\n', 1), Messages{"a"});
}

TEST(CliSplitter, OtherSeparatorsLeaveNewlinesAlone) {
    EXPECT_EQ(split("a\nb\0c\0"s, '\0', 2), (Messages{"a\nb", "c"}));
    EXPECT_EQ(split("a\0b\n"s, '\n', 2), Messages{"a\0b"s});
}

TEST(CliSplitter, PiecesOfAnySizeMakeTheSameMessages) {
    std::mt19937 random(7);  // the input, the same in every run
    std::string input;
    Messages expected;
    for (int i = 0; i < 300; ++i) {
        const std::size_t length = i % 50 == 0 ? 200'000 : random() % 40;
        expected.emplace_back(length, static_cast<char>('a' + i % 26));
        input += expected.back() + "\n";
    }
    for (const std::size_t piece : {std::size_t{1009}, std::size_t{65536}, input.size()}) {
        EXPECT_TRUE(split(input, '\n', piece) == expected) << piece;
    }
    EXPECT_TRUE(split(input.substr(0, 300'000), '\n', 7).size() > 1);
}

TEST(CliSplitter, RestIsTheMessageThatHasNotEnded) {
    Splitter splitter('\n');
    const auto space = splitter.space();
    std::memcpy(space.data(), "ab\ncde", 6);
    splitter.filled(6);
    EXPECT_EQ(splitter.next(), "ab");
    EXPECT_FALSE(splitter.next());
    EXPECT_EQ(splitter.rest(), 3u);
    EXPECT_EQ(splitter.count(), 1u);
}

TEST(CliSplitter, SkippingMeasuresWithoutKeeping) {
    Splitter splitter('\n');
    std::uint64_t skipped = 0;
    for (const std::string part : {"cde", "fgh", "ij\nxyz"}) {
        std::memcpy(splitter.space().data(), part.data(), part.size());
        splitter.filled(part.size());
        EXPECT_EQ(splitter.skip_rest(skipped), part.size() > 3);
    }
    EXPECT_EQ(skipped, 8u);
    EXPECT_EQ(splitter.rest(), 0u);
}

}  // namespace
}  // namespace shmq::cli

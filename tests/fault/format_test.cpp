// The format, byte by byte: the example of docs/journal_format.md, and files written by this and
// earlier versions of the program (golden/), which every later one must read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "daemon/journal/recovery.hpp"
#include "fault/image_builder.hpp"

namespace shmq::fault {
namespace {

using journal::RecordKind;
using journal::Recovered;

Bytes read_golden(const std::string& name) {
    std::ifstream file(std::string(SHMQ_GOLDEN_DIR "/") + name, std::ios::binary);
    EXPECT_TRUE(file.good()) << name;
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return bytes_of(text);
}

// The file of the page's example. SHMQ_WRITE_GOLDEN writes it: only for a new version.
ImageBuilder example() {
    ImageBuilder file;
    file.header.queue = {0x11, 0x22};
    file.header.memory = {0x33, 0x44};
    file.header.seed = 0x0123456789abcdef;
    file.header.file_bytes = 8192;
    file.bytes.resize(8192);
    journal::RecordHeader message = file.record(RecordKind::message);
    message.position = 7;
    message.sequence = 42;
    file.put(message, "hello");
    file.range(RecordKind::settled, 1, 1);
    journal::RecordHeader counts = file.record(RecordKind::counts);
    counts.position = 2;
    file.put(counts, "12345678", 2);
    file.put(file.record(RecordKind::seal), {}, 2);
    return file;
}

// A backlog on disk: messages, and nothing else.
ImageBuilder spill_example() {
    ImageBuilder file(1, 1, 1, journal::LogKind::spill);
    file.header.file_bytes = 8192;
    file.bytes.resize(8192);
    for (const char* text : {"one", "two", "three"})
        file.message(text);
    return file;
}

// Four messages; the first two were synced, the power went while the others were written.
ImageBuilder torn_example() {
    ImageBuilder file;
    file.header.file_bytes = 8192;
    file.bytes.resize(8192);
    file.message("one");
    file.message("two");
    const std::uint64_t torn = file.message("three", 2);
    file.message("four", 2);
    std::fill_n(file.bytes.begin() + static_cast<std::ptrdiff_t>(torn), 32, std::byte{});
    return file;
}

// Five messages; the second's payload has another byte, and what comes later says that it was
// synced.
ImageBuilder damaged_example() {
    ImageBuilder file;
    file.header.file_bytes = 8192;
    file.bytes.resize(8192);
    file.message("one");
    const std::uint64_t hit = file.message("two");
    for (const char* text : {"three", "four", "five"})
        file.message(text, 2);
    file.bytes[hit + sizeof(journal::RecordHeader)] ^= std::byte{1};
    return file;
}

// A dead letter, with what stands behind it.
ImageBuilder moved_example() {
    ImageBuilder file = example();
    file.bytes.assign(8192, std::byte{});
    file.end = journal::record_start_bytes;
    file.next = 1;
    journal::Origin origin{};
    origin.queue = {0x55, 0x66};
    origin.number = 9;
    origin.kind = static_cast<std::uint32_t>(journal::OriginKind::lsn);
    origin.message_bytes = 5;
    std::string payload = "hello";
    payload.append(reinterpret_cast<const char*>(&origin), sizeof origin);
    journal::RecordHeader message = file.record(RecordKind::message);
    message.flags = journal::flag_moved | journal::flag_redelivered;
    message.position = journal::position_none;
    message.deliveries = 3;
    file.put(message, payload);
    return file;
}

TEST(Format, TheGoldenFilesAreWhatThisVersionWrites) {
    std::pair<const char*, ImageBuilder> files[] = {
        {"v1.journal", example()},           {"v1_spill.journal", spill_example()},
        {"v1_torn.journal", torn_example()}, {"v1_damaged.journal", damaged_example()},
        {"v2.journal", example()},           {"v2_moved.journal", moved_example()}};
    for (auto& [name, builder] : files) {
        builder.header.version = static_cast<std::uint32_t>(name[1] - '0');
        const Bytes made = builder.build();
        if (std::getenv("SHMQ_WRITE_GOLDEN") != nullptr) {
            std::ofstream file(std::string(SHMQ_GOLDEN_DIR "/") + name, std::ios::binary);
            file.write(reinterpret_cast<const char*>(made.data()),
                       static_cast<std::streamsize>(made.size()));
        }
        EXPECT_EQ(made, read_golden(name)) << name;
    }
}

std::vector<Bytes> live_of(const std::string& name, Recovered& recovered) {
    SimulatedDisk disk(1, Image{{name, read_golden(name)}});
    auto found = journal::recover(disk, nullptr);
    EXPECT_TRUE(found.has_value()) << name;
    if (!found) return {};
    recovered = std::move(*found);
    std::vector<Bytes> payloads;
    for (const ReadBack& message : read_live(disk, recovered))
        payloads.push_back(message.payload);
    return payloads;
}

TEST(Format, TheGoldenSpillIsRead) {
    Recovered recovered;
    const auto payloads = live_of("v1_spill.journal", recovered);
    EXPECT_EQ(payloads, (std::vector{bytes_of("one"), bytes_of("two"), bytes_of("three")}));
    EXPECT_EQ(recovered.files[0].header.kind, static_cast<std::uint32_t>(journal::LogKind::spill));
    EXPECT_EQ(recovered.next_lsn, 4u);
    EXPECT_EQ(recovered.last_position, 3u);
    EXPECT_TRUE(recovered.damage.empty());
}

TEST(Format, TheGoldenTornTailEndsQuietly) {
    Recovered recovered;
    EXPECT_EQ(live_of("v1_torn.journal", recovered),
              (std::vector{bytes_of("one"), bytes_of("two")}));
    EXPECT_EQ(recovered.torn_records, 1u);
    EXPECT_EQ(recovered.next_lsn, 3u);
    EXPECT_TRUE(recovered.damage.empty());
}

TEST(Format, TheGoldenDamageIsToldAndTheRestRead) {
    Recovered recovered;
    EXPECT_EQ(
        live_of("v1_damaged.journal", recovered),
        (std::vector{bytes_of("one"), bytes_of("three"), bytes_of("four"), bytes_of("five")}));
    ASSERT_EQ(recovered.damage.size(), 1u);
    EXPECT_EQ(recovered.damage[0].file, "v1_damaged.journal");
    EXPECT_EQ(recovered.damage[0].offset, journal::record_start_bytes + journal::record_bytes(3));
    EXPECT_EQ(recovered.damage[0].first_lsn, 2u);
    EXPECT_EQ(recovered.damage[0].records, 1u);
}

TEST(Format, TheGoldenMoveIsReadWithItsOrigin) {
    Recovered recovered;
    const auto payloads = live_of("v2_moved.journal", recovered);
    ASSERT_EQ(payloads.size(), 1u);
    ASSERT_EQ(recovered.moved_in.size(), 1u);
    const journal::MovedIn& moved = recovered.moved_in[0];
    EXPECT_EQ(moved.lsn, 1u);
    EXPECT_EQ(moved.origin.queue[1], 0x66);
    EXPECT_EQ(moved.origin.number, 9u);
    EXPECT_EQ(moved.origin.message_bytes, 5u);
    EXPECT_FALSE(recovered.any_position);
    EXPECT_TRUE(recovered.damage.empty());
    // What makes no sense is no origin.
    Bytes payload = payloads[0];
    EXPECT_TRUE(journal::read_origin(payload));
    payload[payload.size() - 8] = std::byte{77};
    EXPECT_FALSE(journal::read_origin(payload));
    EXPECT_FALSE(journal::read_origin(std::span(payload).first(sizeof(journal::Origin) - 1)));
    payload = payloads[0];
    payload[payload.size() - 4] = std::byte{6};  // a byte more than there is
    EXPECT_FALSE(journal::read_origin(payload));
}

class GoldenVersion : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Format, GoldenVersion, testing::Values("v1.journal", "v2.journal"));

TEST_P(GoldenVersion, IsRead) {
    const std::string name = GetParam();
    SimulatedDisk disk(1, Image{{name, read_golden(name)}});
    const auto recovered = journal::recover(disk, nullptr);
    ASSERT_TRUE(recovered.has_value());
    ASSERT_EQ(recovered->files.size(), 1u);
    const journal::FileReport& file = recovered->files[0];
    EXPECT_EQ(file.role, journal::FileRole::log);
    EXPECT_EQ(journal::name_of(file.header), "jobs");
    EXPECT_EQ(file.last_lsn, 4u);
    EXPECT_EQ(file.messages, 1u);
    EXPECT_TRUE(file.sealed);
    EXPECT_EQ(recovered->last_position, 7u);
    EXPECT_TRUE(recovered->live.empty());
    EXPECT_EQ(recovered->floor, 2u);
    EXPECT_EQ(recovered->counts, bytes_of("12345678"));
    EXPECT_TRUE(recovered->damage.empty());
}

TEST(Format, ARecordChecksEveryByteOfItsHeaderAndPayload) {
    const ImageBuilder file = example();
    const std::size_t record = journal::record_start_bytes;
    const auto read = [&](const Bytes& bytes) {
        const auto header =
            journal::read_record(std::span(bytes).subspan(record, sizeof(journal::RecordHeader)),
                                 file.header.seed, 4096);
        return header &&
               journal::payload_is_whole(
                   *header, std::span(bytes).subspan(record + sizeof *header, header->length),
                   file.header.seed);
    };
    ASSERT_TRUE(read(file.bytes));
    for (std::size_t at = 0; at < sizeof(journal::RecordHeader) + 5; ++at) {
        Bytes bytes = file.bytes;
        bytes[record + at] ^= std::byte{0x10};
        EXPECT_FALSE(read(bytes)) << at;
    }
}

TEST(Format, AHeaderChecksEveryByteOfItself) {
    ImageBuilder file = example();
    const Bytes good = file.build();
    journal::FileHeader header;
    ASSERT_EQ(journal::read_header(good, header), journal::HeaderState::good);
    for (std::size_t at = 0; at < sizeof header; ++at) {
        Bytes bytes = good;
        bytes[at] ^= std::byte{0x10};
        EXPECT_EQ(journal::read_header(bytes, header), journal::HeaderState::damaged) << at;
    }
}

}  // namespace
}  // namespace shmq::fault

// The format, byte by byte: the example of docs/journal_format.md, and files written by this and
// earlier versions of the program (golden/), which every later one must read.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "fault/image_builder.hpp"

namespace shmq::fault {
namespace {

using journal::RecordKind;

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

TEST(Format, TheGoldenFileIsWhatThisVersionWrites) {
    const Bytes made = example().build();
    if (std::getenv("SHMQ_WRITE_GOLDEN") != nullptr) {
        std::ofstream file(SHMQ_GOLDEN_DIR "/v1.journal", std::ios::binary);
        file.write(reinterpret_cast<const char*>(made.data()),
                   static_cast<std::streamsize>(made.size()));
    }
    EXPECT_EQ(made, read_golden("v1.journal"));
}

TEST(Format, TheGoldenFileOfVersion1IsRead) {
    SimulatedDisk disk(1, Image{{"v1.journal", read_golden("v1.journal")}});
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

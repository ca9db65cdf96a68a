// Bounded fuzzing of what reads journal files: bytes that nobody meant, and files damaged at
// random. Whatever they are: no crash, no endless loop, no message that was not written.
#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/journal/scanner.hpp"
#include "fault/image_builder.hpp"
#include "support/seed.hpp"

namespace shmq::fault {
namespace {

using journal::RecordKind;

ImageBuilder random_file(std::mt19937_64& random, journal::LogKind kind) {
    ImageBuilder file(1, 1, 1 + random() % 1000, kind);
    std::uint64_t synced = file.next - 1;
    while (file.end + 700 < file.bytes.size()) {
        if (random() % 4 == 0) synced = file.next - 1;
        if (random() % 4 != 0) {
            file.message(std::string(random() % 500, 'm'), synced);
        } else {
            file.range(RecordKind::settled, file.next - 1, 1, synced);
        }
    }
    return file;
}

void spoil(Bytes& bytes, std::mt19937_64& random) {
    const std::size_t from = random() % bytes.size();
    const std::size_t count = std::min<std::size_t>(1 + random() % 600, bytes.size() - from);
    switch (random() % 5) {
        case 0:
            bytes[from] ^= static_cast<std::byte>(1 + random() % 255);
            break;
        case 1:
            std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), count, std::byte{});
            break;
        case 2:
            for (std::size_t at = from; at < from + count; ++at)
                bytes[at] = static_cast<std::byte>(random());
            break;
        case 3:
            bytes.resize(from);
            break;
        default: {  // a piece of the file, elsewhere
            const std::size_t to = random() % (bytes.size() - count + 1);
            const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                              bytes.begin() + static_cast<std::ptrdiff_t>(from + count));
            std::copy(piece.begin(), piece.end(), bytes.begin() + static_cast<std::ptrdiff_t>(to));
        }
    }
}

// Feeds a scanner by pieces of any size; counts its steps.
void scan_all(const journal::FileHeader& header, const Bytes& bytes, std::mt19937_64& random) {
    journal::Scanner scanner(header.seed, header.record_start, header.first_lsn, bytes.size());
    Bytes window;  // as small as can be, so that a look beside it is seen
    std::uint64_t lsn = 0;
    std::uint64_t end = 0;
    for (std::size_t steps = 0;; ++steps) {
        ASSERT_LT(steps, bytes.size() * 2 + 10);
        const auto step = scanner.next();
        if (step == journal::Scanner::Step::end) return;
        if (step == journal::Scanner::Step::need) {
            const std::uint64_t from = scanner.offset();
            ASSERT_LE(scanner.wanted_end(), bytes.size());
            const std::uint64_t count =
                std::min(bytes.size() - from, scanner.wanted_end() - from + random() % 1000);
            const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(from);
            window = Bytes(first, first + static_cast<std::ptrdiff_t>(count));
            scanner.look_at(from, window);
        } else if (step == journal::Scanner::Step::record) {
            ASSERT_GT(scanner.record().header.lsn, lsn);
            ASSERT_GE(scanner.record().offset, end);
            lsn = scanner.record().header.lsn;
            end = scanner.record().offset + sizeof(journal::RecordHeader);
            ASSERT_LE(end + scanner.record().payload.size(), bytes.size());
        } else {
            ASSERT_LE(scanner.hole().offset, scanner.hole().end);
            ASSERT_LE(scanner.hole().end, bytes.size());
        }
    }
}

TEST(ReaderFuzz, DamagedFilesAreReadToTheirEnd) {
    const std::uint64_t seed = support::test_seed("ReaderFuzz.Damaged");
    const int runs = support::test_all() ? 100'000 : 1500;
    for (int run = 0; run < runs && !HasFailure(); ++run) {
        SCOPED_TRACE("run " + std::to_string(run));
        std::mt19937_64 random(seed * 1'000'000 + static_cast<std::uint64_t>(run));
        const auto kind = run % 2 == 0 ? journal::LogKind::durable : journal::LogKind::spill;
        ImageBuilder file = random_file(random, kind);
        Bytes bytes = file.build();
        for (std::uint64_t left = 1 + random() % 4; left > 0 && !bytes.empty(); --left)
            spoil(bytes, random);
        SimulatedDisk disk(1, Image{{"a.journal", bytes}});
        const auto recovered = journal::recover(disk, &queue_identity);
        if (recovered.has_value()) {
            for (const ReadBack& message : read_live(disk, *recovered))
                EXPECT_EQ(message.payload, bytes_of(std::string(message.payload.size(), 'm')));
        }
        scan_all(file.header, bytes, random);
    }
}

TEST(ReaderFuzz, NoiseHoldsNoRecord) {
    const std::uint64_t seed = support::test_seed("ReaderFuzz.Noise");
    std::mt19937_64 random(seed);
    for (int run = 0; run < 50; ++run) {
        ImageBuilder file;
        Bytes bytes = file.build();
        for (std::size_t at = journal::record_start_bytes; at < bytes.size(); ++at)
            bytes[at] = static_cast<std::byte>(random() % (run % 2 == 0 ? 256 : 3));
        SimulatedDisk disk(1, Image{{"a.journal", bytes}});
        const auto recovered = journal::recover(disk, &queue_identity);
        ASSERT_TRUE(recovered.has_value());
        EXPECT_EQ(recovered->next_lsn, 1u);
        EXPECT_TRUE(recovered->damage.empty());
    }
}

// A producer chooses payloads: one that looks like records of the file is still only a payload, for
// the seed is secret.
TEST(ReaderFuzz, APayloadCannotPassForARecord) {
    ImageBuilder forger;
    forger.header.seed ^= 1;
    forger.message("forged");
    const std::string forged(
        reinterpret_cast<const char*>(forger.bytes.data()) + journal::record_start_bytes,
        journal::record_bytes(6));
    ImageBuilder file;
    const std::uint64_t offset = file.message(forged);
    Bytes bytes = file.build();
    bytes.at(offset) ^= std::byte{1};  // so that the scan looks inside
    SimulatedDisk disk(1, Image{{"a.journal", bytes}});
    EXPECT_EQ(journal::recover(disk, &queue_identity)->live.count(), 0u);
}

}  // namespace
}  // namespace shmq::fault

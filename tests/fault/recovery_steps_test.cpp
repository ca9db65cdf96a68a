// Recovery in steps finds what it finds at once, and no step looks at more than a piece.
#include <gtest/gtest.h>

#include "daemon/journal/recovery.hpp"
#include "fault/image_builder.hpp"
#include "fault/simulated_disk.hpp"
#include "support/seed.hpp"

namespace shmq::fault {
namespace {

using journal::Recovered;
using journal::Recovery;

// So many files with messages of any size, some of them settled, some damaged.
Image some_log(std::mt19937_64& random) {
    Image image;
    std::uint64_t next = 1;
    for (std::uint64_t serial = 1; serial <= 5; ++serial) {
        ImageBuilder file(1, serial, next);
        file.header.file_bytes = std::uint64_t{1} << 20;
        file.bytes.resize(file.header.file_bytes);
        for (int i = 0; i < 300; ++i) {
            file.message(std::string(random() % 2000, 'x'), file.next - 1);
            if (random() % 4 == 0) file.range(journal::RecordKind::settled, file.next - 1, 1);
        }
        next = file.next;
        Bytes bytes = file.build();
        if (random() % 2 == 0)
            bytes[journal::record_start_bytes + random() % 200'000] ^= std::byte{1};
        image[std::to_string(serial) + ".journal"] = std::move(bytes);
    }
    return image;
}

TEST(RecoverySteps, TheyFindTheSame) {
    const std::uint64_t seed = support::test_seed("RecoverySteps");
    for (std::uint64_t run = 0; run < 20 && !testing::Test::HasFailure(); ++run) {
        SCOPED_TRACE("run " + std::to_string(run));
        std::mt19937_64 random(seed + run);
        const Image image = some_log(random);
        SimulatedDisk disk(seed, image);
        const auto at_once = journal::recover(disk, &queue_identity);
        ASSERT_TRUE(at_once.has_value());
        disk.short_moves = random() % 2 == 0;
        int told = 0;
        Recovery recovery(disk, &queue_identity, [&] { ++told; });
        Recovery::Step step{};
        std::uint64_t steps = 0;
        std::uint64_t read = 0;
        for (;; ++steps) {
            step = recovery.step(0);
            ASSERT_GE(recovery.bytes_read(), read);
            // A step is a file's header, or some records.
            EXPECT_LE(recovery.bytes_read() - read, std::uint64_t{1} << 20);
            read = recovery.bytes_read();
            if (step == Recovery::Step::done) break;
            ASSERT_NE(step, Recovery::Step::failed);
            if (step != Recovery::Step::waiting) continue;
            const int before = told;
            while (told == before)
                ASSERT_TRUE(disk.run(true)) << "it waits for nothing";
        }
        EXPECT_GT(steps, 5u * 300 / 64);
        EXPECT_GT(told, 5);
        EXPECT_EQ(recovery.bytes_read(), recovery.bytes_total());
        const Recovered in_steps = recovery.take();
        EXPECT_EQ(in_steps.live.ranges(), at_once->live.ranges());
        EXPECT_EQ(in_steps.next_lsn, at_once->next_lsn);
        EXPECT_EQ(in_steps.proven, at_once->proven);
        EXPECT_EQ(in_steps.tail.size(), at_once->tail.size());
        ASSERT_EQ(in_steps.damage.size(), at_once->damage.size());
        for (std::size_t i = 0; i < in_steps.damage.size(); ++i) {
            EXPECT_EQ(in_steps.damage[i].offset, at_once->damage[i].offset);
            EXPECT_EQ(in_steps.damage[i].records, at_once->damage[i].records);
        }
    }
}

TEST(RecoverySteps, GivenUpHalfWayItLeavesNothingBehind) {
    std::mt19937_64 random(1);
    SimulatedDisk disk(1, some_log(random));
    for (int steps = 0; steps < 40; ++steps) {
        Recovery recovery(disk, &queue_identity, [] {});
        for (int i = 0; i < steps; ++i)
            recovery.step(0);
    }
    while (disk.run(true)) {
    }
}

}  // namespace
}  // namespace shmq::fault

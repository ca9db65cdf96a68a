// Recovery's decision table, a test for each row; the rows are those of docs/journal_format.md.
#include <gtest/gtest.h>

#include "fault/image_builder.hpp"

namespace shmq::fault {
namespace {

using journal::FileRole;
using journal::LogKind;
using journal::RecordKind;
using journal::Recovered;

Recovered recover_image(const Image& image) {
    SimulatedDisk disk(1, image);
    auto recovered = journal::recover(disk, &queue_identity);
    EXPECT_TRUE(recovered.has_value());
    return recovered ? std::move(*recovered) : Recovered{};
}

void damage(Bytes& bytes, std::uint64_t offset) {
    bytes.at(offset) ^= std::byte{1};
}

FileRole role_of(const Recovered& recovered, const std::string& name) {
    for (const journal::FileReport& file : recovered.files)
        if (file.name == name) return file.role;
    ADD_FAILURE() << name;
    return FileRole::log;
}

TEST(RecoveryTable, F0NoFileAnEmptyLog) {
    const Recovered recovered = recover_image({{"lock", {}}});
    EXPECT_EQ(recovered.next_lsn, 1u);
    EXPECT_TRUE(recovered.files.empty());
}

TEST(RecoveryTable, F1ZerosAreAFileNotYetInUse) {
    const Recovered recovered = recover_image({{"a.journal", Bytes(16384)}, {"b.journal", {}}});
    EXPECT_EQ(role_of(recovered, "a.journal"), FileRole::unused);
    EXPECT_EQ(role_of(recovered, "b.journal"), FileRole::unused);
    EXPECT_TRUE(recovered.damage.empty());
}

TEST(RecoveryTable, F2ANewerVersionIsRefused) {
    ImageBuilder file;
    file.header.version = journal::format_version + 1;
    SimulatedDisk disk(1, Image{{"a.journal", file.build()}});
    const auto recovered = journal::recover(disk, &queue_identity);
    ASSERT_FALSE(recovered.has_value());
    EXPECT_NE(recovered.error().text.find("version " + std::to_string(journal::format_version + 1)),
              std::string::npos);
}

TEST(RecoveryTable, R13AMovedMessageIsToldWithItsOrigin) {
    ImageBuilder file;
    journal::Origin origin{};
    origin.number = 77;
    origin.kind = static_cast<std::uint32_t>(journal::OriginKind::lsn);
    origin.message_bytes = 3;
    std::string payload = "one";
    payload.append(reinterpret_cast<const char*>(&origin), sizeof origin);
    for (int i = 0; i < 2; ++i) {
        journal::RecordHeader moved = file.record(RecordKind::message);
        moved.flags = journal::flag_moved;
        moved.position = journal::position_none;
        file.put(moved, payload);
    }
    file.range(RecordKind::settled, 1, 1);
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    // What is settled is nobody's any more.
    ASSERT_EQ(recovered.moved_in.size(), 1u);
    EXPECT_EQ(recovered.moved_in[0].lsn, 2u);
    EXPECT_EQ(recovered.moved_in[0].origin.number, 77u);
}

TEST(RecoveryTable, R14TheLastCountsOfAMessageHoldWhileItIsThere) {
    ImageBuilder file;
    file.message("one");
    file.message("two");
    const auto count = [&](std::uint64_t lsn, std::uint16_t failures) {
        journal::RecordHeader record = file.record(RecordKind::attempts);
        record.position = lsn;
        record.sequence = 1;
        record.deliveries = static_cast<std::uint16_t>(failures + 1);
        record.failures = failures;
        file.put(record);
    };
    count(1, 1);
    count(2, 1);
    count(2, 2);
    count(99, 5);  // of what is not there yet: nonsense
    file.range(RecordKind::settled, 1, 1);
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    ASSERT_EQ(recovered.attempts.size(), 1u);
    EXPECT_EQ(recovered.attempts.at(2).failures, 2);
    EXPECT_EQ(recovered.attempts.at(2).deliveries, 3);
}

TEST(RecoveryTable, F3ADamagedHeaderIsReportedAndTheRestIsRead) {
    ImageBuilder first;
    first.message("one");
    first.put(first.record(RecordKind::seal));
    ImageBuilder second(1, 2, first.next);
    second.message("two", 2);
    Bytes broken = first.build();
    damage(broken, 100);
    const Recovered recovered =
        recover_image({{"a.journal", broken}, {"b.journal", second.build()}});
    EXPECT_EQ(role_of(recovered, "a.journal"), FileRole::damaged);
    EXPECT_EQ(recovered.live.count(), 1u);
    // The file, and the records that are known to be missing with it.
    ASSERT_EQ(recovered.damage.size(), 2u);
    EXPECT_EQ(recovered.damage[0].file, "a.journal");
    EXPECT_EQ(recovered.damage[1].records, 2u);
}

TEST(RecoveryTable, F4AnotherQueuesFileIsLeftAlone) {
    ImageBuilder file;
    file.header.queue[0] ^= 1;
    file.message("one");
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    EXPECT_EQ(role_of(recovered, "a.journal"), FileRole::foreign);
    EXPECT_EQ(recovered.live.count(), 0u);
    EXPECT_EQ(recovered.damage.size(), 1u);
}

TEST(RecoveryTable, F5ACopyIsSetAside) {
    ImageBuilder file;
    file.message("one");
    const Recovered recovered =
        recover_image({{"a.journal", file.build()}, {"b.journal", file.build()}});
    EXPECT_EQ(role_of(recovered, "a.journal"), FileRole::log);
    EXPECT_EQ(role_of(recovered, "b.journal"), FileRole::duplicate);
    EXPECT_EQ(recovered.live.count(), 1u);
    EXPECT_EQ(recovered.doubles, 0u);
    EXPECT_EQ(recovered.damage.size(), 1u);
}

TEST(RecoveryTable, F6WhatALaterWriterTookOverIsSuperseded) {
    ImageBuilder first;
    first.message("one");
    first.message("old two");
    ImageBuilder late(1, 2, 3);
    late.message("old three");
    ImageBuilder second(2, 1, 2);
    second.header.previous_epoch = 1;
    second.message("new two", 1);
    const Recovered recovered = recover_image(
        {{"a.journal", first.build()}, {"b.journal", late.build()}, {"c.journal", second.build()}});
    EXPECT_EQ(role_of(recovered, "b.journal"), FileRole::superseded);
    EXPECT_EQ(recovered.live.count(), 2u);
    EXPECT_EQ(recovered.next_lsn, 3u);
    EXPECT_EQ(recovered.last_epoch, 2u);
    EXPECT_TRUE(recovered.damage.empty());
    SimulatedDisk disk(1, Image{{"a.journal", first.build()}, {"c.journal", second.build()}});
    const auto messages = read_live(disk, *journal::recover(disk, &queue_identity));
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[1].payload, bytes_of("new two"));
}

TEST(RecoveryTable, F8AWriterThatTheNextOneDidNotSeeNeverWas) {
    ImageBuilder first;
    first.message("one");
    ImageBuilder late(2, 1, 1);
    late.message("another one");
    ImageBuilder third(3, 1, 2);
    third.header.previous_epoch = 1;
    third.message("two", 1);
    const Image image{
        {"a.journal", first.build()}, {"b.journal", late.build()}, {"c.journal", third.build()}};
    const Recovered recovered = recover_image(image);
    EXPECT_EQ(role_of(recovered, "a.journal"), FileRole::log);
    EXPECT_EQ(role_of(recovered, "b.journal"), FileRole::superseded);
    EXPECT_EQ(recovered.live.count(), 2u);
    EXPECT_EQ(recovered.epochs_taken, 3u);
}

TEST(RecoveryTable, F7AMissingFileIsReportedUnlessNothingOfItIsNeeded) {
    ImageBuilder first;
    first.message("one");
    ImageBuilder third(1, 3, 10);
    third.message("ten", 9);
    Recovered recovered =
        recover_image({{"a.journal", first.build()}, {"c.journal", third.build()}});
    ASSERT_EQ(recovered.damage.size(), 1u);
    EXPECT_EQ(recovered.damage[0].first_lsn, 2u);
    EXPECT_EQ(recovered.damage[0].records, 8u);
    EXPECT_EQ(recovered.live.count(), 2u);
    recovered = recover_image({{"c.journal", third.build()}});
    ASSERT_EQ(recovered.damage.size(), 1u);
    EXPECT_EQ(recovered.damage[0].records, 9u);
    third.header.floor = 10;
    EXPECT_TRUE(recover_image({{"c.journal", third.build()}}).damage.empty());
}

TEST(RecoveryTable, R1ValidRecordsAreTaken) {
    ImageBuilder file;
    file.message("one");
    file.message("two", 1);
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    EXPECT_EQ(recovered.live.count(), 2u);
    EXPECT_EQ(recovered.proven, 1u);
    EXPECT_EQ(recovered.tail.size(), 1u);
    EXPECT_EQ(recovered.next_lsn, 3u);
    EXPECT_EQ(recovered.last_position, 2u);
}

TEST(RecoveryTable, R2ATornTailEndsQuietly) {
    ImageBuilder file;
    file.message("one");
    const std::uint64_t torn = file.message("two", 1);
    Bytes bytes = file.build();
    damage(bytes, torn + sizeof(journal::RecordHeader));
    const Recovered recovered = recover_image({{"a.journal", bytes}});
    EXPECT_TRUE(recovered.damage.empty());
    EXPECT_EQ(recovered.next_lsn, 2u);
    EXPECT_EQ(recovered.live.count(), 1u);
}

TEST(RecoveryTable, R3AHoleInTheLastBatchEndsItQuietly) {
    ImageBuilder file;
    file.message("one");
    const std::uint64_t torn = file.message("two", 1);
    file.message("three", 1);
    Bytes bytes = file.build();
    damage(bytes, torn);
    const Recovered recovered = recover_image({{"a.journal", bytes}});
    EXPECT_TRUE(recovered.damage.empty());
    EXPECT_EQ(recovered.next_lsn, 2u);
    EXPECT_EQ(recovered.torn_records, 1u);
}

TEST(RecoveryTable, R4AHoleBeforeASyncedRecordIsDamage) {
    for (const bool in_payload : {false, true}) {
        ImageBuilder file;
        file.message("one");
        const std::uint64_t hit = file.message("two", 1);
        file.message("three", 2);
        Bytes bytes = file.build();
        damage(bytes, hit + (in_payload ? sizeof(journal::RecordHeader) : 20));
        const Recovered recovered = recover_image({{"a.journal", bytes}});
        ASSERT_EQ(recovered.damage.size(), 1u);
        EXPECT_EQ(recovered.damage[0].file, "a.journal");
        EXPECT_EQ(recovered.damage[0].offset, hit);
        EXPECT_EQ(recovered.damage[0].bytes, journal::record_bytes(3));
        EXPECT_EQ(recovered.damage[0].first_lsn, 2u);
        EXPECT_EQ(recovered.damage[0].records, 1u);
        EXPECT_EQ(recovered.live.count(), 2u);
        EXPECT_EQ(recovered.next_lsn, 4u);
        EXPECT_TRUE(recovered.files[0].damaged_inside);
    }
}

TEST(RecoveryTable, R5InASpillLogEveryHoleBeforeARecordIsDamage) {
    ImageBuilder file(1, 1, 1, LogKind::spill);
    const std::uint64_t hit = file.message("one");
    file.message("two");
    Bytes bytes = file.build();
    damage(bytes, hit);
    const Recovered recovered = recover_image({{"a.journal", bytes}});
    ASSERT_EQ(recovered.damage.size(), 1u);
    EXPECT_EQ(recovered.live.count(), 1u);
    EXPECT_TRUE(recovered.tail.empty());
}

TEST(RecoveryTable, R6TheEndOfAFileThatHasASuccessorIsNoTornTail) {
    ImageBuilder first;
    first.message("one");
    const std::uint64_t hit = first.message("two");
    ImageBuilder second(1, 2, 3);
    second.message("three", 2);
    Bytes bytes = first.build();
    damage(bytes, hit);
    const Recovered recovered =
        recover_image({{"a.journal", bytes}, {"b.journal", second.build()}});
    ASSERT_EQ(recovered.damage.size(), 1u);
    EXPECT_EQ(recovered.damage[0].file, "a.journal");
    EXPECT_EQ(recovered.damage[0].offset, hit);
    EXPECT_EQ(recovered.damage[0].records, 1u);
    EXPECT_EQ(recovered.live.count(), 2u);
}

TEST(RecoveryTable, R7OldRecordsOfAFileUsedAgainAreNone) {
    ImageBuilder old;
    old.message("old one");
    old.message("old two");
    ImageBuilder again(1, 3, 1);
    again.bytes = old.build();
    again.message("new one");
    const Recovered recovered = recover_image({{"a.journal", again.build()}});
    EXPECT_EQ(recovered.live.count(), 1u);
    EXPECT_TRUE(recovered.damage.empty());
}

TEST(RecoveryTable, R8SettledMessagesAreGoneAndFrontOnesMarked) {
    ImageBuilder file;
    for (int i = 0; i < 4; ++i)
        file.message("x");
    file.range(RecordKind::settled, 2, 2);
    file.range(RecordKind::front, 1, 3);
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    EXPECT_EQ(recovered.live.count(), 2u);
    EXPECT_TRUE(recovered.live.contains(1) && recovered.live.contains(4));
    EXPECT_EQ(recovered.front.count(), 1u);
    EXPECT_TRUE(recovered.front.contains(1));
}

TEST(RecoveryTable, R9ARangeThatSpeaksOfTheFutureChangesNothing) {
    ImageBuilder file;
    file.message("x");
    file.range(RecordKind::settled, 1, UINT64_MAX);
    file.range(RecordKind::settled, 100, 1);
    file.range(RecordKind::settled, 1, 0);
    EXPECT_EQ(recover_image({{"a.journal", file.build()}}).live.count(), 1u);
}

TEST(RecoveryTable, R10ASecondMessageOfOneIngressPositionIsDropped) {
    ImageBuilder file;
    file.message("one");
    journal::RecordHeader again = file.record(RecordKind::message);
    again.position = 1;
    file.put(again, "one");
    journal::RecordHeader other = file.record(RecordKind::message);
    other.position = journal::position_none;
    file.put(other, "by another way");
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    EXPECT_EQ(recovered.doubles, 1u);
    EXPECT_EQ(recovered.live.count(), 2u);
}

TEST(RecoveryTable, R11TheFloorAndTheCountsOfTheLastCountsRecordHold) {
    ImageBuilder file;
    file.message("one");
    file.message("two");
    journal::RecordHeader counts = file.record(RecordKind::counts);
    counts.position = 2;
    file.put(counts, "counters");
    const Recovered recovered = recover_image({{"a.journal", file.build()}});
    EXPECT_EQ(recovered.floor, 2u);
    EXPECT_EQ(recovered.live.count(), 1u);
    EXPECT_EQ(recovered.counts, bytes_of("counters"));
}

TEST(RecoveryTable, R12AnUnreadableSectorIsDamageWithItsReason) {
    ImageBuilder file;
    const std::uint64_t hit = file.message(std::string(2000, 'a'));
    file.message("two", 0);
    for (const bool at_end : {false, true}) {
        SimulatedDisk disk(1, Image{{"a.journal", file.build()}});
        // Even in the last batch, of which a torn tail would say nothing.
        disk.unreadable = {"a.journal", at_end ? 8192 : hit + 512};
        const auto recovered = journal::recover(disk, &queue_identity);
        ASSERT_TRUE(recovered.has_value());
        ASSERT_EQ(recovered->damage.size(), 1u);
        EXPECT_NE(recovered->damage[0].what.find("cannot be read"), std::string::npos);
        EXPECT_EQ(recovered->damage[0].records, at_end ? 0u : 1u);
        EXPECT_EQ(recovered->live.count(), at_end ? 2u : 1u);
    }
}

}  // namespace
}  // namespace shmq::fault

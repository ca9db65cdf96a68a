// Reading a log back while it is written: every message that counts comes once, whole and in order,
// or is told to be missing.
#include <gtest/gtest.h>

#include "fault/image_builder.hpp"
#include "fault/reader_rig.hpp"
#include "support/seed.hpp"

namespace shmq::fault {
namespace {

TEST_F(ReaderTest, MessagesComeInOrderAcrossFilesAndBetweenOtherRecords) {
    for (const auto kind : {LogKind::spill, LogKind::durable}) {
        disk = SimulatedDisk(1);
        open(kind);
        const std::uint64_t first = last_id + 1;
        for (int i = 0; i < 300; ++i) {
            const std::uint64_t lsn = send(static_cast<std::size_t>(i) * 7);
            if (i % 3 == 0) writer->append_settled(lsn, 1);
            if (i % 40 == 0) writer->append_counts(payload_of(1, 100));
            if (i % 5 == 0) run();
        }
        run();
        EXPECT_GT(writer->file_count(), 5u);
        read_from(1);
        EXPECT_EQ(take(), ids_from(first));
        EXPECT_EQ(reader->next(), writer->logged() + 1);
        EXPECT_TRUE(damage().empty());
        reader.reset();
        writer.reset();
    }
}

TEST_F(ReaderTest, WhatIsNotLoggedIsNotGiven) {
    open(LogKind::spill);
    read_from(1);
    EXPECT_EQ(reader->peek(), nullptr);
    send();
    EXPECT_EQ(reader->peek(), nullptr);
    writer->flush();
    EXPECT_EQ(reader->peek(), nullptr);
    while (writer->logged() == 0)
        ASSERT_TRUE(disk.run(true));
    EXPECT_EQ(take(), ids_from(1));
    send();
    EXPECT_TRUE(take().empty());
    run();
    EXPECT_EQ(take(), ids_from(2));
}

// Else a spill stands still whose next file finds no room beside one that is read and removed.
TEST_F(ReaderTest, AFileThatWasReadIsNotHeldOpen) {
    disk.capacity_bytes = 20000;  // one file
    open(LogKind::spill);
    std::uint64_t first = 1;
    read_from(1);
    for (int round = 0; round < 5; ++round) {
        while (writer->state() != Writer::State::no_room) {
            send(1000);
            run();
        }
        const auto ids = take();
        ASSERT_FALSE(ids.empty()) << "round " << round;
        EXPECT_EQ(ids.front(), first);
        first = ids.back() + 1;
        writer->trim(reader->next());
        run();
        EXPECT_EQ(writer->state(), Writer::State::open) << "round " << round;
    }
    EXPECT_EQ(take(), ids_from(first));
}

TEST_F(ReaderTest, NothingIsReadBeforeAPeekAndTheNextPieceBeforeItIsAskedFor) {
    open(LogKind::spill, 8 << 20);
    for (int i = 0; i < 3000; ++i) {
        send(1000);
        if (i % 100 == 0) run();
    }
    run();
    read_from(1);
    EXPECT_FALSE(disk.run(true));
    EXPECT_EQ(disk.reads, 0u);
    EXPECT_EQ(reader->peek(), nullptr);
    while (changes == 0)
        ASSERT_TRUE(disk.run(true));
    ASSERT_NE(reader->peek(), nullptr);
    const std::uint64_t before = disk.reads;
    while (disk.run(true)) {
    }
    EXPECT_GT(disk.reads, before);         // ahead
    EXPECT_LT(disk.bytes_read, 2u << 20);  // and not far ahead
    EXPECT_EQ(take(), ids_from(1));
    EXPECT_LE(disk.bytes_read, 3200u * 1064);  // nothing twice
}

TEST_F(ReaderTest, ASuccessorGivesItsPredecessorsMessagesOnce) {
    for (const auto kind : {LogKind::spill, LogKind::durable}) {
        disk = SimulatedDisk(1);
        const std::uint64_t first = last_id + 1;
        for (int successor = 0; successor < 4; ++successor) {
            open(kind);
            if (successor > 0) run();
            for (int i = 0; i < 50; ++i) {
                send(900);
                if (i % 7 == 0) run();
            }
            run();
            if (successor < 3) writer.reset();
        }
        read_from(1);
        EXPECT_EQ(take(), ids_from(first));
        EXPECT_TRUE(damage().empty());
        reader.reset();
        writer.reset();
    }
}

// What a predecessor's last write left behind, and files of which one lost its end.
TEST_F(ReaderTest, FilesCountUpToWhereTheNextOneBegins) {
    ImageBuilder first(1, 1, 1, LogKind::spill);
    first.message("1");
    first.message("2, and too late");
    ImageBuilder second(2, 1, 2, LogKind::spill);
    second.header.previous_epoch = 1;
    second.message("2");
    ImageBuilder third(2, 2, 5, LogKind::spill);
    third.header.previous_epoch = 1;
    third.message("5");
    disk = SimulatedDisk(1, {{"1.journal", first.build()},
                             {"2.journal", second.build()},
                             {"3.journal", third.build()}});
    open(LogKind::spill);
    run();
    read_from(1);
    EXPECT_EQ(texts(), "1;2;5;");
    const auto all = damage();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].file, "2.journal");
    EXPECT_EQ(all[0].first_lsn, 3u);
    EXPECT_EQ(all[0].records, 2u);
    EXPECT_EQ(all[0].what, "records are missing");
}

// The rest of a torn batch has LSNs that are given out again.
TEST_F(ReaderTest, WhatATornBatchLeftBehindIsNotGiven) {
    ImageBuilder file;
    file.message("1");
    file.message("2", 1);
    file.end += 72;
    file.next = 4;
    file.message("torn", 1);
    disk = SimulatedDisk(1, {{"1.journal", file.build()}});
    open(LogKind::durable);
    run();
    EXPECT_GE(writer->logged(), 4u);
    read_from(1);
    EXPECT_EQ(texts(), "1;2;");
    EXPECT_TRUE(damage().empty());
}

TEST_F(ReaderTest, ARecordLargerThanTheWindowComesWhole) {
    open(LogKind::spill, 8 << 20);
    // The second one's header lies in two pieces.
    for (const std::size_t bytes :
         {524192u, 900000u, 600000u, 100u, 3000000u, 5000000u, 100u, 70000u}) {
        send(bytes);
        run();
    }
    for (int i = 0; i < 40; ++i)
        send(300'000);
    run();
    read_from(1);
    EXPECT_EQ(take(), ids_from(1));
    EXPECT_TRUE(damage().empty());
}

TEST_F(ReaderTest, ADamagedRecordCostsItselfAndIsTold) {
    for (const std::int64_t distance : {0, -20}) {  // in the payload, in the header
        disk = SimulatedDisk(1);
        open(LogKind::durable);
        const std::uint64_t first = last_id + 1;
        for (int i = 0; i < 200; ++i)
            send();
        run();
        const std::uint64_t victim = last_id - 150;
        const auto [name, offset] = place_of(victim);
        flip(victim, distance);
        read_from(1);
        EXPECT_EQ(take(), ids_from(first, victim));
        const auto all = damage();
        ASSERT_EQ(all.size(), 1u);
        EXPECT_EQ(all[0].file, name);
        EXPECT_EQ(all[0].offset, offset - sizeof(journal::RecordHeader));
        EXPECT_EQ(all[0].bytes, journal::record_bytes(100));
        EXPECT_EQ(all[0].first_lsn, sent[victim].first);
        EXPECT_EQ(all[0].records, 1u);
        EXPECT_EQ(all[0].what, "no valid record");
        reader.reset();
        writer.reset();
    }
}

TEST_F(ReaderTest, DamageAtTheEndOfWhatIsLoggedIsNotToldTwice) {
    open(LogKind::spill);
    for (int i = 0; i < 5; ++i)
        send();
    run();
    flip(5);
    read_from(1);
    EXPECT_EQ(take(), (std::vector<std::uint64_t>{1, 2, 3, 4}));
    ASSERT_EQ(damage().size(), 1u);
    send();
    run();
    EXPECT_EQ(take(), ids_from(6));
    EXPECT_TRUE(damage().empty());
}

TEST_F(ReaderTest, ASectorThatCannotBeReadCostsWhatLiesInIt) {
    open(LogKind::spill, 2 << 20);
    send();
    run();
    read_from(1);
    EXPECT_EQ(take(), ids_from(1));  // so that reading goes on from an odd place
    for (int i = 0; i < 5000; ++i)
        send();
    run();
    const auto [name, offset] = place_of(3000);
    const std::uint64_t sector = offset / 512 * 512;
    disk.unreadable = {name, sector};
    std::vector<std::uint64_t> expected;
    for (std::uint64_t id = 2; id <= last_id; ++id) {
        const std::uint64_t begin = journal::record_start_bytes + (id - 1) * 168;
        if (begin + 164 <= sector || begin >= sector + 512) expected.push_back(id);
    }
    EXPECT_EQ(take(), expected);
    const auto all = damage();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].records, 5000 - expected.size());
    EXPECT_NE(all[0].what.find("cannot be read: Input/output error"), std::string::npos);
    EXPECT_LT(disk.reads, 100u);
}

TEST_F(ReaderTest, AMissingOrShortenedFileIsTold) {
    open(LogKind::spill);
    for (int i = 0; i < 500; ++i)
        send();
    run();
    const auto [missing, unused] = place_of(150);
    const auto [cut, offset] = place_of(300);
    disk.remove(missing);
    disk.content(cut)->resize(offset);
    read_from(1);
    const auto ids = take();
    std::uint64_t lost = 0;
    std::vector<std::string> reasons;
    for (const Damage& one : damage()) {
        lost += one.records;
        reasons.push_back(one.file + ": " + one.what);
    }
    EXPECT_EQ(reasons, (std::vector<std::string>{
                           missing + ": the file cannot be opened: No such file or directory",
                           cut + ": the file ends too early"}));
    EXPECT_EQ(ids.back(), 500u);
    EXPECT_FALSE(std::ranges::count(ids, 300));
    // Each of the two files had a seal, too.
    EXPECT_EQ(ids.size() + lost - 2, 500u);
}

TEST_F(ReaderTest, WhatIsSkippedIsNotRead) {
    open(LogKind::spill);
    for (int i = 0; i < 1000; ++i)
        send();
    run();
    read_from(1);
    EXPECT_EQ(reader->peek(), nullptr);
    flip(500);
    reader->skip_to(sent[900].first);
    EXPECT_EQ(take(), ids_from(900));
    EXPECT_LE(disk.bytes_read, 4 * 16384u);
    EXPECT_TRUE(damage().empty());
    reader->skip_to(1);
    EXPECT_EQ(reader->next(), writer->logged() + 1);
}

TEST_F(ReaderTest, ADrainedLogGoesOnInANewFile) {
    open(LogKind::spill);
    for (int i = 0; i < 100; ++i)
        send();
    run();
    read_from(1);
    EXPECT_EQ(take(), ids_from(1));
    writer->trim(writer->next_lsn());
    run();
    EXPECT_EQ(writer->file_count(), 0u);
    EXPECT_EQ(reader->peek(), nullptr);
    send();
    run();
    EXPECT_EQ(take(), ids_from(101));
    EXPECT_TRUE(damage().empty());
}

// The file that is being read is let go, and another use of it begins.
TEST_F(ReaderTest, WhatWasTrimmedMeanwhileIsNotMissed) {
    open(LogKind::durable);
    for (int i = 0; i < 100; ++i)
        send();
    run();
    read_from(1);
    EXPECT_EQ(reader->peek(), nullptr);  // a read is under way
    for (int i = 0; i < 300; ++i) {
        const std::uint64_t lsn = send();
        writer->trim(lsn);
        writer->flush();
        disk.run(true);
    }
    run();
    EXPECT_EQ(take(), ids_from(400));
    EXPECT_TRUE(damage().empty());
}

TEST_F(ReaderTest, WhatAPeekGaveStaysUntilItIsPassed) {
    open(LogKind::spill);
    for (int i = 0; i < 100; ++i)
        send();
    run();
    read_from(1);
    ASSERT_EQ(reader->peek(), nullptr);
    while (disk.run(true)) {
    }
    const journal::Record* record = reader->peek();
    ASSERT_NE(record, nullptr);
    writer->trim(writer->next_lsn());
    run();
    EXPECT_EQ(reader->peek(), record);
    check(*record);
    reader->pass();
    EXPECT_EQ(reader->peek(), nullptr);
}

TEST_F(ReaderTest, MayGoWhileItReads) {
    open(LogKind::spill);
    for (int i = 0; i < 100; ++i)
        send();
    run();
    read_from(1);
    EXPECT_EQ(reader->peek(), nullptr);
    reader.reset();
    run();
    EXPECT_EQ(changes, 0);
}

// A log driven at random, its reader beside it, damage now and then.
TEST_F(ReaderTest, ARandomRunGivesOrTellsEveryMessage) {
    const std::uint64_t seed_of_test = support::test_seed("Reader.Random");
    const int runs = support::test_all() ? 3000 : 100;
    for (int run_number = 0; run_number < runs && !HasFailure(); ++run_number) {
        SCOPED_TRACE("run " + std::to_string(run_number));
        std::mt19937_64 random(seed_of_test * 1000 + static_cast<std::uint64_t>(run_number));
        disk = SimulatedDisk(random());
        disk.reorder = true;
        disk.short_moves = random() % 2 == 0;
        sent.clear();
        const bool harmful = random() % 2 == 0;
        open(random() % 2 == 0 ? LogKind::spill : LogKind::durable);
        read_from(1);
        std::set<std::uint64_t> due;  // LSNs of messages not yet given or told
        std::uint64_t highest = 0;
        const auto look = [&](std::uint64_t limit) {
            while (const journal::Record* record = limit-- > 0 ? reader->peek() : nullptr) {
                check(*record);
                EXPECT_GT(record->header.lsn, std::exchange(highest, record->header.lsn));
                EXPECT_EQ(due.erase(record->header.lsn), 1u);
                reader->pass();
            }
            for (const Damage& one : damage()) {
                EXPECT_TRUE(harmful) << one.file << " " << one.offset << " " << one.what;
                due.erase(due.lower_bound(one.first_lsn),
                          due.lower_bound(one.first_lsn + one.records));
            }
        };
        for (int step = 0; step < 600 && !HasFailure(); ++step) {
            const std::uint64_t choice = random() % 100;
            if (choice < 30)
                due.insert(send(random() % (random() % 10 == 0 ? 20000 : 500)));
            else if (choice < 40)
                writer->flush();
            else if (choice < 41 && writer->next_lsn() > 1)
                writer->append_settled(1, 1);
            else if (choice < 60)
                look(random() % 10);
            else if (choice < 61 && !due.empty()) {
                auto at = due.begin();
                std::advance(at, static_cast<std::ptrdiff_t>(
                                     random() % std::min<std::size_t>(20, due.size())));
                const std::uint64_t to = *at;
                due.erase(due.begin(), at);
                if (random() % 2 == 0) reader->skip_to(to);
                writer->trim(to);
            } else if (choice < 63) {
                writer->trim(reader->next());
            } else if (choice < 64 && harmful) {
                const Image seen = disk.seen();
                auto file = seen.begin();
                std::advance(file, static_cast<std::ptrdiff_t>(random() % (seen.size() + 1)));
                if (file == seen.end() || file->second.size() <= 4096) continue;
                disk.content(file->first)->at(4096 + random() % (file->second.size() - 4096)) ^=
                    std::byte{1};
            } else {
                disk.run(false);
            }
        }
        for (int round = 0; round < 100; ++round) {
            run();
            look(UINT64_MAX);
        }
        EXPECT_TRUE(due.empty()) << due.size() << " from " << *due.begin() << " of "
                                 << writer->logged();
        reader.reset();
        writer.reset();
    }
}

}  // namespace
}  // namespace shmq::fault

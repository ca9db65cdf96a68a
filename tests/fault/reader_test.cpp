// Reading a log back while it is written: every message that counts comes once, whole and in order,
// or is told to be missing.
#include <gtest/gtest.h>

#include <cerrno>

#include "daemon/journal/reader.hpp"
#include "fault/image_builder.hpp"
#include "fault/log_rig.hpp"
#include "support/seed.hpp"

namespace shmq::fault {
namespace {

using journal::Damage;
using journal::LogKind;
using journal::Reader;
using journal::Recovered;
using journal::Writer;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ReaderTest : public testing::Test {
  protected:
    void open(LogKind kind, std::uint64_t file_bytes = 16384) {
        auto recovered = journal::recover(disk, &queue_identity);
        ASSERT_TRUE(recovered.has_value());
        journal::WriterOptions options;
        options.kind = kind;
        options.queue = queue_identity;
        options.memory = memory_identity;
        options.file_bytes = file_bytes;
        options.random = [this] { return ++seed; };
        options.realtime_ns = [] { return std::uint64_t{1}; };
        writer = std::make_unique<Writer>(disk, options, *recovered, [] {});
        writer->flush();
    }
    std::uint64_t send(std::size_t bytes = 100) {
        payloads.push_back(std::make_unique<Bytes>(payload_of(++last_id, bytes)));
        journal::MessageRecord message;
        message.sequence = last_id;
        message.payload = *payloads.back();
        const std::uint64_t lsn = writer->append(message);
        EXPECT_NE(lsn, 0u);
        sent[last_id] = {lsn, bytes};
        return lsn;
    }
    void run() {
        writer->flush();
        while (disk.run(true)) {
        }
    }
    void read_from(std::uint64_t next) {
        reader = std::make_unique<Reader>(disk, *writer, next, [this] { ++changes; });
    }
    // All that is there now: the ids of the messages, each looked at.
    std::vector<std::uint64_t> take() {
        std::vector<std::uint64_t> ids;
        for (;;) {
            while (const journal::Record* record = reader->peek()) {
                EXPECT_EQ(reader->next(), record->header.lsn);
                check(*record);
                ids.push_back(record->header.sequence);
                reader->pass();
            }
            const int before = changes;
            while (changes == before && disk.run(true)) {
            }
            if (changes == before) return ids;
        }
    }
    std::string texts() {
        std::string given;
        for (int left = 20; left > 0; --left) {
            while (const journal::Record* record = reader->peek()) {
                given += text_of(record->payload) + ";";
                reader->pass();
            }
            disk.run(true);
        }
        return given;
    }
    void check(const journal::Record& record) {
        EXPECT_LE(record.header.lsn, writer->logged());
        const auto [lsn, bytes] = sent[record.header.sequence];
        EXPECT_EQ(record.header.lsn, lsn);
        EXPECT_TRUE(std::ranges::equal(record.payload, payload_of(record.header.sequence, bytes)))
            << record.header.sequence;
    }
    std::vector<std::uint64_t> ids_from(std::uint64_t first, std::uint64_t without = 0) const {
        std::vector<std::uint64_t> ids;
        for (std::uint64_t id = first; id <= last_id; ++id)
            if (id != without) ids.push_back(id);
        return ids;
    }
    std::vector<Damage> damage() {
        std::vector<Damage> all;
        for (Damage one; reader->take_damage(one);)
            all.push_back(one);
        return all;
    }
    // Where the payload of a message lies on the disk.
    std::pair<std::string, std::uint64_t> place_of(std::uint64_t id) {
        const Bytes payload = payload_of(id, sent[id].second);
        for (const auto& [name, bytes] : disk.seen()) {
            const auto at = std::search(bytes.begin(), bytes.end(), payload.begin(), payload.end());
            if (at != bytes.end()) return {name, static_cast<std::uint64_t>(at - bytes.begin())};
        }
        ADD_FAILURE() << "message " << id << " is nowhere";
        return {};
    }
    void flip(std::uint64_t id, std::int64_t distance = 0) {
        const auto [name, offset] = place_of(id);
        disk.content(name)->at(static_cast<std::uint64_t>(static_cast<std::int64_t>(offset) +
                                                          distance)) ^= std::byte{1};
    }

    SimulatedDisk disk{1};
    std::unique_ptr<Writer> writer;
    std::unique_ptr<Reader> reader;
    std::vector<std::unique_ptr<Bytes>> payloads;
    std::map<std::uint64_t, std::pair<std::uint64_t, std::size_t>> sent;  // id: LSN, bytes
    std::uint64_t seed = 100;
    std::uint64_t last_id = 0;
    int changes = 0;
};

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

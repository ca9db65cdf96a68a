// The writer when the disk misbehaves: nothing is confirmed that is not true, nothing is tried
// again as if it had worked, and want of room is not the end.
#include <gtest/gtest.h>

#include <cerrno>

#include "fault/log_rig.hpp"
#include "support/seed.hpp"

namespace shmq::fault {
namespace {

using journal::LogKind;
using journal::Recovered;
using journal::Writer;

class WriterFaults : public testing::Test {
  protected:
    void open(LogKind kind, std::uint64_t space_max_bytes = UINT64_MAX) {
        auto recovered = journal::recover(disk, &queue_identity);
        ASSERT_TRUE(recovered.has_value());
        journal::WriterOptions options;
        options.kind = kind;
        options.synced = synced;
        options.queue = queue_identity;
        options.memory = memory_identity;
        options.name = "jobs";
        options.file_bytes = file_bytes;
        options.space_max_bytes = space_max_bytes;
        options.random = [this] { return ++seed; };
        options.realtime_ns = [] { return std::uint64_t{1}; };
        writer = std::make_unique<Writer>(disk, options, *recovered, [this] { ++changes; });
    }
    std::uint64_t send(std::size_t bytes = 100) {
        payloads.push_back(std::make_unique<Bytes>(payload_of(++last_id, bytes)));
        journal::MessageRecord message;
        message.position = message.sequence = last_id;
        message.payload = *payloads.back();
        return writer->append(message);
    }
    // Until there is room for it.
    std::uint64_t deliver(std::size_t bytes = 100) {
        std::uint64_t lsn = 0;
        while ((lsn = send(bytes)) == 0 && disk.run(true)) {
        }
        EXPECT_NE(lsn, 0u);
        return lsn;
    }
    void run() {
        writer->flush();
        while (disk.run(true)) {
        }
    }
    Recovered recovered_after_power_loss() {
        std::mt19937_64 random(1);
        SimulatedDisk after(2, disk.power_loss(SimulatedDisk::Loss::everything, random));
        auto recovered = journal::recover(after, &queue_identity);
        EXPECT_TRUE(recovered.has_value());
        return recovered ? std::move(*recovered) : Recovered{};
    }

    SimulatedDisk disk{1};
    std::unique_ptr<Writer> writer;
    std::vector<std::unique_ptr<Bytes>> payloads;
    std::uint64_t seed = 100;
    bool synced = true;  // what is opened next
    std::uint64_t file_bytes = 16384;
    std::uint64_t last_id = 0;
    int changes = 0;
};

TEST_F(WriterFaults, AConfirmIsCumulativeAndComesAfterTheSync) {
    open(LogKind::durable);
    send();
    send();
    EXPECT_EQ(writer->logged(), 0u);
    run();
    EXPECT_GE(writer->logged(), 2u);
    EXPECT_EQ(writer->durable(), writer->logged());
    EXPECT_GT(changes, 0);
    EXPECT_EQ(recovered_after_power_loss().live.count(), 2u);
}

TEST_F(WriterFaults, WhatArrivesDuringASyncIsTheNextBatch) {
    open(LogKind::durable);
    send();
    run();
    const std::uint64_t before = writer->durable();
    send();
    writer->flush();
    for (int i = 0; i < 5; ++i)
        send();
    ASSERT_TRUE(disk.run(true));  // the write of the one
    ASSERT_TRUE(disk.run(true));  // its sync
    const std::uint64_t first = writer->durable();
    EXPECT_EQ(first, before + 2);  // it and its pad
    ASSERT_TRUE(disk.run(true));
    ASSERT_TRUE(disk.run(true));
    EXPECT_EQ(writer->durable(), first + 6);  // five and a pad, by one sync
}

TEST_F(WriterFaults, AFailedSyncEndsTheLogAndALaterOneProvesNothing) {
    open(LogKind::durable);
    send();
    run();
    const std::uint64_t durable = writer->durable();
    disk.fail_sync_in = 1;
    send();
    run();
    EXPECT_EQ(writer->state(), Writer::State::failed);
    EXPECT_EQ(writer->error().os_error, EIO);
    EXPECT_NE(writer->error().text.find("sync of 00000001-00000001.journal"), std::string::npos);
    EXPECT_EQ(writer->durable(), durable);
    EXPECT_EQ(send(), 0u);
    writer->retry();
    run();
    EXPECT_EQ(writer->durable(), durable);
    // The page cache has the second message, the disk has not. A successor that reads the first
    // must not believe it: it writes it anew.
    writer.reset();
    open(LogKind::durable);
    EXPECT_EQ(writer->durable(), durable);
    run();
    EXPECT_GT(writer->durable(), durable);
    EXPECT_EQ(recovered_after_power_loss().live.count(), 2u);
}

TEST_F(WriterFaults, ALogThatIsNotSyncedIsSafeOnceItIsWritten) {
    synced = false;
    disk.fail_sync_in = 1;  // would be the end, were there one: of a file made ahead, too
    open(LogKind::durable);
    for (int i = 0; i < 300; ++i) {
        deliver();
        if (i % 7 == 0) run();
    }
    run();
    EXPECT_EQ(writer->syncs(), 0u);
    EXPECT_EQ(writer->durable(), 0u);
    EXPECT_GE(writer->logged(), 300u);
    EXPECT_EQ(writer->safe(), writer->logged());
    EXPECT_EQ(disk.fail_sync_in, 1);
    EXPECT_GT(writer->file_count(), 1u);
    // Its process is gone, and then its successor.
    writer.reset();
    open(LogKind::durable);
    run();
    deliver();
    run();
    writer.reset();
    const auto recovered = journal::recover(disk, &queue_identity);
    ASSERT_TRUE(recovered.has_value());
    EXPECT_EQ(recovered->live.count(), 301u);
    EXPECT_TRUE(recovered->damage.empty());
}

TEST_F(WriterFaults, AFailedWriteEndsTheLog) {
    for (const LogKind kind : {LogKind::durable, LogKind::spill}) {
        SimulatedDisk fresh(3);
        std::swap(disk, fresh);
        open(kind);
        send();
        run();
        const std::uint64_t logged = writer->logged();
        disk.fail_write_in = 1;
        send();
        run();
        EXPECT_EQ(writer->state(), Writer::State::failed);
        EXPECT_EQ(writer->logged(), logged);
        EXPECT_EQ(send(), 0u);
        writer.reset();
    }
}

TEST_F(WriterFaults, WithoutRoomTheBatchWaitsAndGoesOnWhenThereIsSome) {
    for (const LogKind kind : {LogKind::durable, LogKind::spill}) {
        SimulatedDisk fresh(4);
        std::swap(disk, fresh);
        open(kind);
        disk.capacity_bytes = 20000;  // one file
        // A spill log takes what it may yet find room for, a durable one what has room.
        std::uint64_t taken = 0;
        std::uint64_t last = 0;
        while (taken < 100) {
            const std::uint64_t lsn = send(200);
            if (lsn == 0) break;
            last = lsn;
            ++taken;
        }
        EXPECT_EQ(taken == 100, kind == LogKind::spill);
        run();
        EXPECT_EQ(writer->state(), Writer::State::no_room);
        EXPECT_EQ(writer->error().os_error, ENOSPC);
        EXPECT_EQ(writer->logged() < last, kind == LogKind::spill);
        writer->retry();
        run();
        EXPECT_EQ(writer->state(), Writer::State::no_room);
        disk.capacity_bytes = UINT64_MAX;
        writer->retry();
        run();
        EXPECT_EQ(writer->state(), Writer::State::open);
        EXPECT_GE(writer->logged(), last);
        for (; taken < 100; ++taken)
            deliver(200);
        run();
        writer.reset();
        const auto recovered = journal::recover(disk, &queue_identity);
        ASSERT_TRUE(recovered.has_value());
        EXPECT_EQ(recovered->live.count(), 100u);
        EXPECT_TRUE(recovered->damage.empty());
    }
}

TEST_F(WriterFaults, AtItsLimitItGoesOnWhenMessagesAreGone) {
    open(LogKind::spill, 32768);
    std::uint64_t last = 0;
    for (int i = 0; i < 200; ++i)
        last = send(200);
    run();
    EXPECT_EQ(writer->state(), Writer::State::no_room);
    EXPECT_EQ(writer->error().os_error, 0);
    EXPECT_NE(writer->error().text.find("limit of 32768 bytes"), std::string::npos);
    while (writer->state() == Writer::State::no_room) {
        writer->trim(writer->logged());
        run();
        if (writer->logged() >= last) break;
    }
    EXPECT_GE(writer->logged(), last);
    EXPECT_LE(writer->space_bytes(), 32768u);
}

// What a full log holds can be acked, and then it takes more: for ever, whatever the order.
TEST_F(WriterFaults, AFullDurableLogTakesAcksAndGoesOn) {
    const std::uint64_t seed_of_test = support::test_seed("WriterFaults.Full");
    std::mt19937_64 random(seed_of_test);
    for (int run_number = 0; run_number < 40 && !HasFailure(); ++run_number) {
        SCOPED_TRACE("run " + std::to_string(run_number));
        disk = SimulatedDisk(random());
        file_bytes = std::uint64_t{16384} << random() % 4;
        const bool by_limit = random() % 2 == 0;
        const bool in_order = random() % 2 == 0;
        if (!by_limit) disk.capacity_bytes = 2 * file_bytes;
        open(LogKind::durable, by_limit ? 2 * file_bytes : UINT64_MAX);
        const std::size_t bytes = 50 + random() % 1000;
        for (int round = 0; round < 6 && !HasFailure(); ++round) {
            std::vector<std::uint64_t> live;
            for (int refused = 0; refused < 2;) {
                const std::uint64_t lsn = send(bytes);
                if (lsn == 0) ++refused;
                if (lsn == 0 || random() % 8 == 0) run();
                if (lsn != 0) live.push_back(lsn);
            }
            ASSERT_FALSE(live.empty());
            EXPECT_EQ(writer->durable() + 1, writer->next_lsn());
            EXPECT_EQ(writer->state(), Writer::State::no_room);
            if (!in_order) std::shuffle(live.begin(), live.end(), random);
            std::set<std::uint64_t> held(live.begin(), live.end());
            std::size_t unlogged = 0;
            for (const std::uint64_t lsn : live) {
                // One that is refused counts all the same: the floor will say it.
                const std::uint64_t ack = writer->append_settled(lsn, 1);
                unlogged += ack == 0 ? 1U : 0U;
                run();
                EXPECT_GE(writer->durable(), ack);
                held.erase(lsn);
                writer->trim(held.empty() ? writer->next_lsn() : *held.begin());
                run();
            }
            EXPECT_LT(unlogged, live.size());
            EXPECT_EQ(writer->state(), Writer::State::open);
        }
        const int before = changes;
        deliver();
        run();
        EXPECT_GT(changes, before);
        EXPECT_LE(writer->space_bytes(), 2 * file_bytes);
        EXPECT_TRUE(recovered_after_power_loss().damage.empty());
        EXPECT_EQ(recovered_after_power_loss().live.count(), 1u);
        writer.reset();
    }
}

// Nobody could empty a full disk if the log on it were not taken over.
TEST_F(WriterFaults, AFullDiskIsTakenOverInASmallFileAndEmptiedFromThere) {
    for (const LogKind kind : {LogKind::spill, LogKind::durable}) {
        for (const std::uint64_t room_bytes : {24576u, 32768u, 65536u}) {
            SCOPED_TRACE(std::to_string(static_cast<int>(kind)) + ", " +
                         std::to_string(room_bytes));
            disk = SimulatedDisk(room_bytes);
            file_bytes = 131072;
            open(kind);
            for (int i = 0; i < 1000; ++i)
                deliver(300);
            run();
            deliver(300);  // the last batch, which is written anew
            run();
            writer.reset();
            // Files made ahead are zeros, and go: then there is this much room.
            disk.capacity_bytes = room_bytes;
            for (const auto& [name, content] : disk.seen())
                disk.capacity_bytes += content.front() != std::byte{} ? content.size() : 0;
            open(kind);
            EXPECT_FALSE(writer->taken_over());
            run();
            ASSERT_TRUE(writer->taken_over()) << writer->error().text;
            const std::uint64_t last = writer->logged();
            for (std::uint64_t lsn = 1; lsn < last; ++lsn) {
                if (kind == LogKind::durable) writer->append_settled(lsn, 1);
                writer->trim(lsn + 1);
                run();
            }
            writer->retry();
            EXPECT_NE(deliver(300), 0u);
            run();
            EXPECT_EQ(writer->state(), Writer::State::open);
            writer.reset();
            const auto recovered = journal::recover(disk, &queue_identity);
            EXPECT_EQ(recovered->live.count(), 1u);
            EXPECT_TRUE(recovered->damage.empty());
        }
    }
}

TEST_F(WriterFaults, WithoutRoomForASmallFileItWaitsForSome) {
    for (const LogKind kind : {LogKind::spill, LogKind::durable}) {
        disk = SimulatedDisk(1);
        open(kind);
        deliver();
        run();
        writer.reset();
        disk.capacity_bytes = 0;
        open(kind);
        run();
        EXPECT_FALSE(writer->taken_over());
        EXPECT_EQ(writer->state(), Writer::State::no_room);
        disk.capacity_bytes = UINT64_MAX;
        writer->retry();
        run();
        EXPECT_TRUE(writer->taken_over());
        EXPECT_EQ(writer->state(), Writer::State::open);
        writer.reset();
        EXPECT_EQ(journal::recover(disk, &queue_identity)->live.count(), 1u);
    }
}

TEST_F(WriterFaults, WhatWasRefusedForWantOfRoomIsToldWhenThereIsSome) {
    open(LogKind::durable);
    while (send(500) != 0) {
    }
    EXPECT_EQ(writer->state(), Writer::State::open);  // a file is being made
    int before = 0;
    do {
        before = changes;
        ASSERT_TRUE(disk.run(true));
    } while (send(500) == 0);
    EXPECT_GT(changes, before);
}

TEST_F(WriterFaults, ADrainedSpillLogKeepsNoFile) {
    open(LogKind::spill);
    std::uint64_t last = 0;
    for (int i = 0; i < 200; ++i)
        last = send(200);
    run();
    EXPECT_GT(writer->file_count(), 2u);
    writer->trim(last);
    run();
    EXPECT_LE(writer->file_count(), 2u);
    writer->trim(writer->next_lsn());
    run();
    EXPECT_EQ(writer->file_count(), 0u);
    EXPECT_TRUE(disk.seen().empty());
    send();
    run();
    EXPECT_EQ(writer->file_count(), 1u);
}

TEST_F(WriterFaults, ADurableLogUsesTwoFilesInTurn) {
    open(LogKind::durable);
    for (int i = 0; i < 400; ++i) {
        const std::uint64_t lsn = send(2000);
        run();
        writer->append_settled(lsn, 1);
        writer->trim(writer->next_lsn());
        run();
    }
    EXPECT_EQ(disk.seen().size(), 2u);
    EXPECT_EQ(writer->state(), Writer::State::open);
}

TEST_F(WriterFaults, ASuccessorTouchesNoFileOfItsPredecessor) {
    open(LogKind::durable);
    for (int i = 0; i < 20; ++i) {
        send();
        run();
    }
    const Image before = disk.seen();
    writer.reset();
    open(LogKind::durable);
    for (int i = 0; i < 20; ++i) {
        send();
        run();
    }
    const Image after = disk.seen();
    for (const auto& [name, bytes] : before) {
        if (after.contains(name)) {
            EXPECT_EQ(after.at(name), bytes) << name;
        }
    }
    writer->trim(writer->next_lsn());
    send();
    run();
    EXPECT_FALSE(disk.seen().contains("00000001-00000001.journal"));
}

TEST_F(WriterFaults, AMessageLargerThanAFileGetsALargerFile) {
    open(LogKind::durable);
    deliver();
    deliver(100'000);
    deliver();
    run();
    EXPECT_EQ(writer->state(), Writer::State::open);
    EXPECT_EQ(recovered_after_power_loss().live.count(), 3u);
}

TEST_F(WriterFaults, TooMuchWaitingIsRefusedAndNothingOfItLost) {
    open(LogKind::spill);
    std::uint64_t taken = 0;
    while (send(1 << 20) != 0)
        ++taken;
    EXPECT_GE(taken, 4u);
    run();
    EXPECT_NE(send(1 << 20), 0u);
    run();
    writer.reset();
    EXPECT_EQ(journal::recover(disk, &queue_identity)->live.count(), taken + 1);
}

TEST_F(WriterFaults, AfterASealTheLastBatchIsProven) {
    open(LogKind::durable);
    send();
    run();
    EXPECT_FALSE(recovered_after_power_loss().tail.empty());
    const std::uint64_t lsn = writer->durable();
    writer->seal();
    run();
    EXPECT_EQ(recovered_after_power_loss().proven, lsn);
}

TEST_F(WriterFaults, ADamagedFileIsSetAsideNotRemoved) {
    open(LogKind::durable);
    send();
    run();
    send();
    run();
    send();
    run();
    writer.reset();
    disk.content("00000001-00000001.journal")->at(4096 + 80) ^= std::byte{1};
    open(LogKind::durable);
    writer->trim(writer->next_lsn());
    send();
    run();
    writer->trim(writer->next_lsn());
    run();
    EXPECT_TRUE(disk.seen().contains("00000001-00000001.journal.damaged"));
    EXPECT_FALSE(disk.seen().contains("00000001-00000001.journal"));
}

// Any one operation fails, in any state: what was confirmed before is there after the power loss.
TEST_F(WriterFaults, WhateverFailsWhatWasConfirmedStays) {
    const std::uint64_t seed_of_test = support::test_seed("WriterFaults.WhateverFails");
    const int runs = support::test_all() ? 3000 : 150;
    for (int run = 0; run < runs && !HasFailure(); ++run) {
        SCOPED_TRACE("run " + std::to_string(run));
        std::mt19937_64 random(seed_of_test * 1000 + static_cast<std::uint64_t>(run));
        LogRig rig(LogKind::durable, random());
        (run % 2 == 0 ? rig.disk().fail_write_in : rig.disk().fail_sync_in) =
            1 + static_cast<int>(random() % 40);
        for (int step = 0; step < 300 && !HasFailure(); ++step)
            rig.act();
        rig.check_power_loss(4);
        // A successor on the same disk, whose cache shows what the medium has not.
        rig.restart_after_failure();
        for (int step = 0; step < 100 && !HasFailure(); ++step)
            rig.act();
        rig.check_power_loss(4);
    }
}

}  // namespace
}  // namespace shmq::fault

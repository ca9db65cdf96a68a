// A log on a simulated disk and its reader: what was sent, and what came back.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/journal/reader.hpp"
#include "fault/log_rig.hpp"

namespace shmq::fault {

using journal::Damage;
using journal::LogKind;
using journal::Reader;
using journal::Recovered;
using journal::Writer;

inline std::string text_of(std::span<const std::byte> bytes) {
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
        std::uint64_t lsn = 0;
        // A durable log takes no more than it has room for; some is on its way.
        while ((lsn = writer->append(message)) == 0 && disk.run(true)) {
        }
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

}  // namespace shmq::fault

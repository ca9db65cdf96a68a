#include "fault/log_rig.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/journal/scan_file.hpp"

namespace shmq::fault {

using journal::Recovered;

Bytes payload_of(std::uint64_t id, std::size_t bytes) {
    std::mt19937_64 random(id);
    Bytes payload(bytes);
    for (std::byte& byte : payload)
        byte = static_cast<std::byte>(random());
    return payload;
}

std::vector<ReadBack> read_live(SimulatedDisk& disk, const Recovered& recovered) {
    std::vector<ReadBack> found;
    std::set<std::uint64_t> seen;
    for (std::size_t index = 0; index < recovered.files.size(); ++index) {
        const journal::FileReport& report = recovered.files[index];
        if (report.role != journal::FileRole::log) continue;
        std::unique_ptr<journal::File> file;
        std::uint64_t bytes = 0;
        EXPECT_EQ(disk.open(report.name, file, bytes), 0);
        journal::FileScan scan(disk, std::move(file), report.header, bytes);
        for (auto step = scan.next(); step != journal::Scanner::Step::end; step = scan.next()) {
            if (step != journal::Scanner::Step::record) continue;
            const journal::Record& record = scan.record();
            if (record.header.lsn > report.last_lsn) break;
            if (record.kind() != journal::RecordKind::message) continue;
            if (!recovered.live.contains(record.header.lsn)) continue;
            found.push_back({.lsn = record.header.lsn,
                             .id = record.header.sequence,
                             .payload = {record.payload.begin(), record.payload.end()}});
        }
    }
    EXPECT_EQ(found.size(), recovered.live.count());
    return found;
}

LogRig::LogRig(journal::LogKind kind, std::uint64_t seed, bool synced)
    : kind_(kind),
      synced_(synced),
      random_(seed),
      disk_(std::make_unique<SimulatedDisk>(seed + 1)) {
    disk_->reorder = true;
    disk_->short_moves = seed % 2 == 0;
    start(Recovered{});
}

void LogRig::start(const Recovered& recovered) {
    journal::WriterOptions options;
    options.kind = kind_;
    options.synced = synced_;
    options.queue = queue_identity;
    options.memory = memory_identity;
    options.name = "rig";
    options.file_bytes = 32768;
    options.batch_max_bytes = 16384;
    options.pending_max_bytes = 65536;
    options.random = [this] { return random_(); };
    options.realtime_ns = [] { return std::uint64_t{1}; };
    payloads_.clear();
    writer_ = std::make_unique<journal::Writer>(*disk_, options, recovered, [] {});
    writer_->flush();
}

void LogRig::append() {
    const std::uint64_t id = next_id_++;
    // Mostly small; some that are written from where they lie; some larger than a file.
    const std::uint64_t sizes[] = {40, 100, 1000, 5000, 9000, 40000};
    const std::size_t bytes = random_() % sizes[random_() % 20 == 0 ? 5 : random_() % 5];
    payloads_.push_back(std::make_unique<Bytes>(payload_of(id, bytes)));
    journal::MessageRecord message;
    message.position = id;
    message.sequence = id;
    message.payload = *payloads_.back();
    const std::uint64_t lsn = writer_->append(message);
    if (lsn == 0) return;
    sent_[id] = {.lsn = lsn, .bytes = bytes};
    live_[lsn] = id;
}

void LogRig::settle() {
    if (live_.empty()) return;
    auto at = live_.begin();
    std::advance(at,
                 static_cast<std::ptrdiff_t>(random_() % std::min<std::size_t>(8, live_.size())));
    const std::uint64_t lsn = writer_->append_settled(at->first, 1);
    if (lsn == 0) return;
    sent_[at->second].settled_lsn = lsn;
    live_.erase(at);
}

void LogRig::act() {
    const std::uint64_t choice = random_() % 100;
    if (choice < 22) {
        append();
    } else if (choice < 43) {
        settle();
    } else if (choice < 46) {
        writer_->trim(live_.empty() ? writer_->next_lsn() : live_.begin()->first);
    } else if (choice < 47) {
        writer_->append_counts(payload_of(1, 64));
    } else if (choice < 50) {
        writer_->flush();
    } else {
        disk_->run(false);
    }
}

void LogRig::settle_down() {
    writer_->flush();
    while (disk_->run(true)) {
    }
}

// `safe`: the last LSN that was promised to be there.
Recovered LogRig::recover_checked(SimulatedDisk& disk, std::uint64_t safe) {
    auto recovered = journal::recover(disk, &queue_identity);
    if (!recovered) {
        ADD_FAILURE() << recovered.error().text;
        return {};
    }
    for (const journal::Damage& damage : recovered->damage) {
        ADD_FAILURE() << damage.file << " at " << damage.offset << ": " << damage.what << ", "
                      << damage.records << " records from " << damage.first_lsn << ", safe "
                      << safe;
    }
    EXPECT_EQ(recovered->doubles, 0u);
    // A drained spill log has no file, and begins again.
    if (!recovered->files.empty() && recovered->files.front().role == journal::FileRole::log) {
        EXPECT_GT(recovered->next_lsn, safe);
    }
    for (const auto& [id, message] : sent_) {
        if (message.lsn > safe) continue;
        const bool there = recovered->live.contains(message.lsn);
        const bool kept = there || message.settled_lsn != 0 || message.may_be_settled;
        EXPECT_TRUE(kept) << "message " << id << " was promised, record " << message.lsn;
        const bool back = there && message.settled_lsn != 0 && message.settled_lsn <= safe;
        EXPECT_FALSE(back) << "message " << id << " was settled, record " << message.lsn;
    }
    std::uint64_t last_id = 0;
    for (const ReadBack& found : read_live(disk, *recovered)) {
        EXPECT_GT(found.id, last_id) << "order";
        last_id = found.id;
        const auto& books = sent_.contains(found.id) ? sent_ : late_;
        const auto sent = books.find(found.id);
        if (sent == books.end()) {
            ADD_FAILURE() << "message " << found.id << " was never sent";
            continue;
        }
        EXPECT_EQ(found.lsn, sent->second.lsn);
        EXPECT_EQ(found.payload, payload_of(found.id, sent->second.bytes)) << found.id;
    }
    return std::move(*recovered);
}

void LogRig::check_power_loss(int images) {
    using enum SimulatedDisk::Loss;
    for (int image = -2; image < images; ++image) {
        const auto loss = image == -2 ? nothing : image == -1 ? everything : any;
        SimulatedDisk disk(random_(), disk_->power_loss(loss, random_));
        recover_checked(disk, writer_->durable());
        ++images_checked_;
        if (::testing::Test::HasFailure()) return;
    }
}

void LogRig::follow(const Recovered& recovered, const std::vector<ReadBack>& found) {
    live_.clear();
    std::map<std::uint64_t, Sent> sent;
    for (const ReadBack& message : found) {
        live_[message.lsn] = message.id;
        const auto before = sent_.find(message.id);
        const bool settling = before != sent_.end() &&
                              (before->second.settled_lsn != 0 || before->second.may_be_settled);
        sent[message.id] = {
            .lsn = message.lsn, .bytes = message.payload.size(), .may_be_settled = settling};
    }
    // Settled ones stay in the books, for they must not come back; those beyond the end are gone,
    // and their LSNs are given out again.
    for (const auto& [id, message] : sent_) {
        const bool known = message.settled_lsn != 0 && message.settled_lsn < recovered.next_lsn;
        if (known && !sent.contains(id)) sent[id] = message;
        if (!known && !sent.contains(id)) late_[id] = message;
    }
    sent_ = std::move(sent);
}

void LogRig::restart_after_failure() {
    const std::uint64_t durable = writer_->durable();
    disk_->process_died();
    writer_.reset();
    disk_->restarted();
    const Recovered recovered = recover_checked(*disk_, durable);
    follow(recovered, read_live(*disk_, recovered));
    start(recovered);
}

void LogRig::restart_process() {
    const std::uint64_t logged = writer_->logged();
    disk_->process_died();
    writer_.reset();
    disk_->restarted();
    const Recovered recovered = recover_checked(*disk_, logged);
    follow(recovered, read_live(*disk_, recovered));
    start(recovered);
}

void LogRig::restart_after_power_loss() {
    const std::uint64_t durable = writer_->durable();
    Image image = disk_->power_loss(SimulatedDisk::Loss::any, random_);
    disk_->process_died();
    writer_.reset();
    disk_ = std::make_unique<SimulatedDisk>(random_(), image);
    disk_->reorder = true;
    const Recovered recovered = recover_checked(*disk_, durable);
    follow(recovered, read_live(*disk_, recovered));
    start(recovered);
}

}  // namespace shmq::fault

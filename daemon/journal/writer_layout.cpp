// Where records go: into batches, and batches into files.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "daemon/journal/scan_file.hpp"
#include "daemon/journal/writer.hpp"

namespace shmq::journal {
namespace {

// Below this a copy costs less than a piece of its own in the write.
constexpr std::size_t copied_max_bytes = 2048;
constexpr std::size_t pieces_max = 1000;  // the kernel takes 1024 (IOV_MAX)
constexpr std::uint64_t seal_bytes = sizeof(RecordHeader);

RecordHeader header_of(RecordKind kind) {
    RecordHeader header{};
    header.kind = static_cast<std::uint8_t>(kind);
    return header;
}

}  // namespace

std::uint64_t Writer::append(const MessageRecord& message) {
    SHMQ_CHECK(message.payload.size() <= payload_max_bytes);
    SHMQ_CHECK((message.flags & ~flags_known) == 0);
    RecordHeader header = header_of(RecordKind::message);
    header.flags = message.flags;
    header.position = message.position;
    header.sequence = message.sequence;
    header.timestamp_ns = message.timestamp_ns;
    header.deliveries = message.deliveries;
    header.failures = message.failures;
    const std::uint64_t lsn = add(header, message.payload);
    if (lsn != 0) last_message_lsn_ = lsn;
    return lsn;
}

std::uint64_t Writer::append_settled(std::uint64_t first, std::uint64_t count) {
    return append_range(RecordKind::settled, first, count);
}

std::uint64_t Writer::append_front(std::uint64_t first, std::uint64_t count) {
    return append_range(RecordKind::front, first, count);
}

std::uint64_t Writer::append_range(RecordKind kind, std::uint64_t first, std::uint64_t count) {
    SHMQ_CHECK(first != 0 && count != 0 && first < next_lsn_ && count <= next_lsn_ - first);
    RecordHeader header = header_of(kind);
    header.position = first;
    header.sequence = count;
    header.timestamp_ns = options_.realtime_ns();
    return add(header, {});
}

std::uint64_t Writer::append_attempts(std::uint64_t lsn, std::uint16_t deliveries,
                                      std::uint16_t failures) {
    SHMQ_CHECK(lsn != 0 && lsn < next_lsn_);
    RecordHeader header = header_of(RecordKind::attempts);
    header.position = lsn;
    header.sequence = 1;
    header.deliveries = deliveries;
    header.failures = failures;
    header.timestamp_ns = options_.realtime_ns();
    return add(header, {});
}

std::uint64_t Writer::append_counts(std::span<const std::byte> counts) {
    SHMQ_CHECK(counts.size() <= limits::journal_counts_max_bytes);
    counts_.assign(counts.begin(), counts.end());
    RecordHeader header = header_of(RecordKind::counts);
    header.position = floor_;
    header.timestamp_ns = options_.realtime_ns();
    const std::uint64_t lsn = add(header, counts_);
    if (lsn != 0) {
        floor_told_ = floor_;
        floor_lsn_ = lsn;
    }
    return lsn;
}

void Writer::seal() {
    if (state_ == State::failed || files_.empty() || files_.back()->finished) return;
    seal_file();
    advance();
}

std::uint64_t Writer::add(RecordHeader header, std::span<const std::byte> payload) {
    const std::uint64_t bytes = record_bytes(payload.size());
    if (state_ == State::failed) return 0;
    if (pending_bytes_ != 0 && pending_bytes_ + bytes > options_.pending_max_bytes) return 0;
    if (is_durable() && !has_room(header, bytes)) {
        if (!advancing_) advance();  // to make some
        return 0;
    }
    header.length = static_cast<std::uint32_t>(payload.size());
    need_room(bytes);
    header.lsn = next_lsn_;  // after a seal or a pad that it took to make room
    place(header, payload);
    return header.lsn;
}

// Whether a record finds room that is there, and leaves what is reserved for others; if not, a file
// is wanted. Nothing is asked of a writer's first file: no room of its own can run out before it.
bool Writer::has_room(const RecordHeader& header, std::uint64_t bytes) {
    if (files_.empty() || files_.back()->inherited) return true;
    const LogFile& file = *files_.back();
    std::uint64_t left = ack_reserve() + durable_alignment_bytes;
    const auto kind = static_cast<RecordKind>(header.kind);
    if (kind == RecordKind::settled || kind == RecordKind::front || kind == RecordKind::attempts)
        left = durable_alignment_bytes;
    if (kind == RecordKind::counts && floor_ > floor_told_) left = 0;
    // Behind a pad, if this record begins a batch; with one, or the seal, behind it.
    const bool joins = !batches_.empty() && !batches_.back().closed &&
                       batches_.back().bytes + bytes <= options_.batch_max_bytes;
    const std::uint64_t begin = joins || file.end % alignment() == 0
                                    ? file.end
                                    : round_up(file.end + sizeof(RecordHeader), alignment());
    const std::uint64_t end = round_up(begin + bytes + sizeof(RecordHeader), alignment());
    const bool fits = !file.finished && end + left <= file.bytes;
    if (!fits && !at_hand(bytes_for(bytes))) {
        wanted_bytes_ = bytes_for(bytes);
        return false;
    }
    wanted_bytes_ = 0;
    return true;
}

// Makes the last file one that takes `bytes` more, its seal besides; and the last batch one that
// takes another record.
void Writer::need_room(std::uint64_t bytes) {
    if (!files_.empty() && !files_.back()->finished && !files_.back()->inherited) {
        if (!batches_.empty() && !batches_.back().closed) {
            const Batch& batch = batches_.back();
            if (batch.bytes + bytes > options_.batch_max_bytes || batch.pieces.size() > pieces_max)
                close(batches_.back());
        }
        LogFile& file = *files_.back();
        if (!file.finished && file.end + bytes + seal_bytes > file.bytes) seal_file();
    }
    if (files_.empty() || files_.back()->finished || files_.back()->inherited) begin_file(bytes);
}

std::uint64_t Writer::bytes_for(std::uint64_t needed) const {
    std::uint64_t least =
        round_up(record_start_bytes + needed + seal_bytes, durable_alignment_bytes);
    if (is_durable()) least += ack_reserve() + durable_alignment_bytes;
    return std::max(options_.file_bytes, least);
}

void Writer::begin_file(std::uint64_t needed) {
    auto file = std::make_shared<LogFile>();
    file->bytes = bytes_for(needed);
    file->header.seed = options_.random();
    if (is_durable()) take_spare(*file);
    files_.push_back(std::move(file));
}

void Writer::seal_file() {
    RecordHeader header = header_of(RecordKind::seal);
    header.lsn = next_lsn_;
    header.timestamp_ns = options_.realtime_ns();
    place(header, {});
    files_.back()->finished = true;
    batches_.back().closed = true;
}

Writer::Batch& Writer::open_batch() {
    if (batches_.empty() || batches_.back().closed) {
        Batch batch;
        batch.file = files_.back();
        batch.offset = files_.back()->end;
        SHMQ_CHECK(batch.offset % alignment() == 0);
        batches_.push_back(std::move(batch));
    }
    return batches_.back();
}

// Puts a record at the end of the last file. REQUIRES: it fits.
void Writer::place(RecordHeader header, std::span<const std::byte> payload) {
    Batch& batch = open_batch();
    LogFile& file = *batch.file;
    const bool is_pad = header.kind == static_cast<std::uint8_t>(RecordKind::pad);
    if (!payload.empty()) {
        // The one look at the payload before the kernel's own.
        header.payload_checksum = checksum_of(payload, file.header.seed);
    }
    const auto stage = [&batch](const void* data, std::size_t bytes) {
        const std::size_t at = batch.staging.size();
        batch.staging.resize(at + bytes);
        if (data != nullptr) std::memcpy(batch.staging.data() + at, data, bytes);
        const bool joins = !batch.pieces.empty() && batch.pieces.back().outside == nullptr;
        if (!joins) batch.pieces.push_back({.outside = nullptr, .offset = at, .bytes = 0});
        batch.pieces.back().bytes += bytes;
    };
    batch.headers.push_back(batch.staging.size());
    stage(&header, sizeof header);
    if (payload.size() > copied_max_bytes) {
        batch.pieces.push_back({.outside = payload.data(), .offset = 0, .bytes = payload.size()});
    } else if (!payload.empty()) {
        stage(payload.data(), payload.size());
    }
    const std::uint64_t padding = round_up(payload.size(), record_alignment) - payload.size();
    if (padding != 0) stage(nullptr, padding);
    const std::uint64_t bytes = record_bytes(payload.size());
    batch.bytes += bytes;
    pending_bytes_ += bytes;
    file.end += is_pad ? record_bytes(header.length) : bytes;
    batch.end = file.end;
    file.last_lsn = batch.last_lsn = header.lsn;
    if (file.header.first_lsn == 0) file.header.first_lsn = header.lsn;
    next_lsn_ = header.lsn + 1;
    SHMQ_CHECK(file.end <= file.bytes);
}

// No record comes after this in the batch; the next batch begins where no sync was before.
void Writer::close(Batch& batch) {
    SHMQ_CHECK(&batch == &batches_.back() && !batch.closed);
    LogFile& file = *batch.file;
    if (file.end % alignment() != 0) {
        const std::uint64_t next = round_up(file.end + sizeof(RecordHeader), alignment());
        if (next + seal_bytes > file.bytes) return seal_file();
        RecordHeader pad = header_of(RecordKind::pad);
        pad.lsn = next_lsn_;
        pad.length = static_cast<std::uint32_t>(next - file.end - sizeof(RecordHeader));
        place(pad, {});
    }
    batch.closed = true;
}

// Begins a file of our own, which fixes what recovery found: whatever of the predecessors' writes
// lands later counts for nothing. In it, what a predecessor wrote last is written anew: nobody
// knows whether the disk holds it. One batch in one new file, whose header comes last, so that the
// take-over happens as a whole or not at all.
void Writer::take_over(const Recovered& recovered) {
    if (recovered.last_epoch == 0) return;
    std::uint64_t bytes = sizeof(RecordHeader) + limits::journal_counts_max_bytes;
    for (const TailRecord& record : recovered.tail)
        bytes += record_bytes(record.header.length);
    begin_file(bytes);
    std::vector<std::byte> payload;
    for (const TailRecord& record : recovered.tail) {
        const FileReport& report = recovered.files[record.file];
        RecordHeader header = record.header;
        payload.resize(header.length);
        const auto kind = static_cast<RecordKind>(header.kind);
        if (kind == RecordKind::pad || kind == RecordKind::seal) {
            // Keeps its number, for later ones must keep theirs.
            header = header_of(RecordKind::pad);
            header.lsn = record.header.lsn;
            payload.clear();
        }
        std::unique_ptr<File> file;
        std::uint64_t size = 0;
        int error = payload.empty() ? 0 : disk_.open(report.name, file, size);
        if (error == 0 && !payload.empty()) {
            const std::int64_t count =
                read_whole(disk_, *file, record.offset + sizeof header, payload);
            if (count != static_cast<std::int64_t>(payload.size()))
                error = count < 0 ? static_cast<int>(-count) : EIO;
        }
        if (error == 0 && !payload.empty() &&
            !payload_is_whole(record.header, payload, report.header.seed))
            error = EIO;
        if (error != 0) return fail(error, "reading the last batch", report.name);
        // Pieces must lie somewhere: the tail is at most a batch, so all of it is copied.
        tail_payloads_.push_back(payload);
        place(header, tail_payloads_.back());
        if (kind == RecordKind::message) last_message_lsn_ = header.lsn;
    }
    // The floor, and something to write even where there is no tail.
    append_counts(std::vector<std::byte>(counts_));
    close(batches_.back());
    take_over_lsn_ = batches_.back().last_lsn;
}

}  // namespace shmq::journal

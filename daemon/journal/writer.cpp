#include "daemon/journal/writer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"

namespace shmq::journal {

Writer::Writer(Disk& disk, WriterOptions options, const Recovered& recovered,
               std::function<void()> changed)
    : disk_(disk),
      options_(std::move(options)),
      changed_(std::move(changed)),
      maker_(disk, is_synced(), [this] { advance(); }),
      epoch_(recovered.epochs_taken + 1),
      previous_epoch_(recovered.last_epoch),
      next_lsn_(is_durable() ? recovered.proven + 1 : recovered.next_lsn),
      logged_(is_durable() ? recovered.proven : 0),
      durable_(is_synced() ? recovered.proven : 0),
      floor_(recovered.floor),
      floor_told_(recovered.floor),
      counts_(recovered.counts) {
    SHMQ_CHECK(options_.random && options_.realtime_ns);
    SHMQ_CHECK(options_.name.size() <= limits::name_max_bytes);
    SHMQ_CHECK(options_.file_bytes >= limits::journal_file_min_bytes &&
               options_.file_bytes % durable_alignment_bytes == 0);
    // Two files at least: one is let go while the other takes the records that say so.
    if (is_durable()) {
        const std::uint64_t half = options_.space_max_bytes / 2 / durable_alignment_bytes;
        options_.file_bytes = std::clamp(half * durable_alignment_bytes,
                                         limits::journal_file_min_bytes, options_.file_bytes);
    }
    if (!recovered.live.empty()) last_message_lsn_ = recovered.live.highest();
    for (const FileReport& report : recovered.files) {
        if (report.role == FileRole::unused || report.role == FileRole::superseded)
            leftovers_.push_back(report.name);
        if (report.role == FileRole::unused) unused_.push_back(report.name);
        if (report.role != FileRole::log) continue;  // in doubt: left where it is
        auto file = std::make_shared<LogFile>();
        file->made = {.name = report.name, .file = nullptr, .bytes = report.bytes};
        file->bytes = report.bytes;
        file->header = report.header;
        file->last_lsn = report.last_lsn;
        file->logged_end = report.written_end;
        file->in_use = file->finished = file->inherited = true;
        file->damaged = report.damaged_inside;
        files_.push_back(std::move(file));
    }
    told_ = {logged_, durable_, state_, false};
    take_over(recovered);
}

Writer::~Writer() {
    stopping_ = true;
    maker_.stop();
    while ((busy_ || maker_.busy()) && disk_.run(true)) {
    }
}

void Writer::retry() {
    if (state_ != State::no_room) return;
    state_ = State::open;
    stuck_ = false;
    advance();
}

// One step at a time, each begun from the completion of the one before.
void Writer::advance() {
    if (advancing_) {
        again_ = true;
        return;
    }
    if (stopping_) return;
    advancing_ = true;
    do {
        again_ = false;
        take_made();
        while (!busy_ && state_ != State::failed && !stuck_ && !batches_.empty()) {
            Batch& batch = batches_.front();
            if (!attach_file(*batch.file)) break;
            if (!batch.closed) close(batch);
            step(batch);
        }
        if (state_ != State::failed) tend_files();
    } while (again_);
    advancing_ = false;
    const bool room = wanted_bytes_ != 0 && at_hand(wanted_bytes_);
    if (std::exchange(told_, {logged_, durable_, state_, room}) !=
        std::tuple(logged_, durable_, state_, room))
        changed_();
}

void Writer::step(Batch& batch) {
    switch (batch.stage) {
        case Stage::waiting:
            return write(batch);
        case Stage::written:
            if (batch.file->in_use) {
                batch.stage = Stage::headed;
                return;
            }
            // Header last: until then the file does not belong to the log.
            return is_synced() ? sync(batch, Stage::synced) : write_header(batch);
        case Stage::synced:
            return write_header(batch);
        case Stage::headed:
            logged_ = std::max(logged_, batch.last_lsn);
            batch.file->logged_end = batch.end;
            return is_synced() ? sync(batch, Stage::durable) : complete(batch);
        case Stage::durable:
            return complete(batch);
    }
}

void Writer::write(Batch& batch) {
    if (batch.moved == 0) {
        // As late as can be: what was synced meanwhile is told, too.
        for (const std::size_t at : batch.headers) {
            RecordHeader header;
            std::memcpy(&header, batch.staging.data() + at, sizeof header);
            header.unsynced = static_cast<std::uint32_t>(
                std::min<std::uint64_t>(header.lsn - 1 - safe(), UINT32_MAX));
            finish(header, batch.file->header.seed);
            std::memcpy(batch.staging.data() + at, &header, sizeof header);
        }
    }
    std::vector<iovec> pieces;
    pieces.reserve(batch.pieces.size());
    std::uint64_t skip = batch.moved;
    for (const Piece& piece : batch.pieces) {
        const std::uint64_t passed = std::min<std::uint64_t>(skip, piece.bytes);
        skip -= passed;
        if (passed == piece.bytes) continue;
        const std::byte* from =
            piece.outside != nullptr ? piece.outside : batch.staging.data() + piece.offset;
        // Only read from; iovec knows no const.
        pieces.push_back({const_cast<std::byte*>(from) + passed, piece.bytes - passed});
    }
    busy_ = true;
    disk_.write(*batch.file->made.file, batch.offset + batch.moved, std::move(pieces),
                [this, &batch](std::int64_t result) {
                    busy_ = false;
                    if (result <= 0) {
                        stuck_ = true;
                        refuse(result < 0 ? static_cast<int>(-result) : EIO, "write",
                               batch.file->made.name);
                    } else {
                        batch.moved += static_cast<std::uint64_t>(result);
                        if (batch.moved >= batch.bytes) batch.stage = Stage::written;
                    }
                    advance();
                });
}

void Writer::write_header(Batch& batch) {
    LogFile& file = *batch.file;
    FileHeader& header = file.header;
    header.magic = file_magic;
    header.version = format_version;
    header.record_start = record_start_bytes;
    header.queue = options_.queue;
    header.memory = options_.memory;
    header.epoch = epoch_;
    header.serial = ++serial_;
    header.previous_epoch = previous_epoch_;
    header.floor = std::min(floor_, header.first_lsn);
    header.file_bytes = file.made.bytes;
    header.created_ns = options_.realtime_ns();
    header.kind = static_cast<std::uint32_t>(options_.kind);
    header.alignment = alignment();
    header.name_bytes = static_cast<std::uint32_t>(options_.name.size());
    std::memcpy(header.name, options_.name.data(), options_.name.size());
    finish(header);
    busy_ = true;
    disk_.write(*file.made.file, 0, {iovec{&header, sizeof header}},
                [this, &batch](std::int64_t result) {
                    busy_ = false;
                    if (result != static_cast<std::int64_t>(sizeof(FileHeader))) {
                        fail(result < 0 ? static_cast<int>(-result) : EIO, "write of the header",
                             batch.file->made.name);
                    } else {
                        batch.file->in_use = true;
                        batch.stage = Stage::headed;
                    }
                    advance();
                });
}

void Writer::sync(Batch& batch, Stage then) {
    busy_ = true;
    disk_.sync(*batch.file->made.file, [this, &batch, then](std::int64_t result) {
        busy_ = false;
        if (result < 0) {
            fail(static_cast<int>(-result), "sync", batch.file->made.name);
        } else {
            batch.stage = then;
            ++syncs_;
        }
        advance();
    });
}

void Writer::complete(Batch& batch) {
    if (is_synced()) durable_ = std::max(durable_, batch.last_lsn);
    pending_bytes_ -= batch.bytes;
    batches_.pop_front();
    remove_leftovers();
    tail_payloads_.clear();  // the take-over was the first batch
}

void Writer::refuse(int error, const char* what, const std::string& name) {
    // What finds no room has written nothing that counts, and may be tried again.
    if (error == ENOSPC || error == EDQUOT)
        return lack_room(error, fmt::format("{} of {}", what, name));
    fail(error, what, name);
}

void Writer::fail(int error, const char* what, const std::string& name) {
    state_ = State::failed;
    failure_ = {error, fmt::format("{} of {}: {}; nothing after record {} is confirmed", what, name,
                                   std::strerror(error), safe())};
}

void Writer::lack_room(int error, const std::string& text) {
    state_ = State::no_room;
    failure_ = {error, error == 0 ? fmt::format("{}: the limit of {} bytes is reached", text,
                                                options_.space_max_bytes)
                                  : fmt::format("{}: {}", text, std::strerror(error))};
}

}  // namespace shmq::journal

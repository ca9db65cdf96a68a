#include "daemon/journal/recovery.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>

#include <fmt/format.h>

#include "daemon/journal/scan_file.hpp"

namespace shmq::journal {
namespace {

struct LogFile {
    FileReport report;
    std::unique_ptr<File> file;
};

std::uint64_t epoch_of_name(const std::string& name) {
    const std::size_t digits = std::min(name.find_first_not_of("0123456789"), std::size_t{18});
    return digits == 0 ? 0 : std::strtoull(name.substr(0, digits).c_str(), nullptr, 10);
}

// A record or a hole that later records have yet to decide about.
struct Pending {
    std::size_t file = 0;
    bool is_hole = false;
    Hole hole;
    std::string why;
    TailRecord record;
    std::vector<std::byte> counts;
};

class Recovery {
  public:
    Recovery(Disk& disk, const Identity* queue) : disk_(disk), queue_(queue) {}

    std::expected<Recovered, RecoveryError> run() {
        std::vector<std::string> names;
        if (const int error = disk_.list(names); error != 0)
            return std::unexpected(RecoveryError{error, "the directory cannot be listed"});
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) {
            if (!name.ends_with(file_suffix)) continue;
            if (auto error = inspect(name); error) return std::unexpected(*error);
        }
        order();
        for (std::size_t index = 0; index < log_.size(); ++index)
            read_records(index);
        finish();
        return std::move(out_);
    }

  private:
    std::optional<RecoveryError> inspect(const std::string& name);
    FileRole role_of(HeaderState state, const FileHeader& header) const;
    void order();
    void set_aside(LogFile file, FileRole role, const char* why);
    void read_records(std::size_t index);
    void meet_record(std::size_t index, const Record& record);
    void meet_hole(std::size_t index, const Hole& hole, std::string why);
    void prove(std::uint64_t lsn);
    void apply(const Pending& pending);
    void apply_range(const RecordHeader& header);
    void report(const Pending& hole);
    void finish();
    bool is_durable() const {
        return log_.front().report.header.kind == static_cast<std::uint32_t>(LogKind::durable);
    }

    Disk& disk_;
    const Identity* queue_;
    Identity first_queue_{};
    std::vector<LogFile> log_;
    std::vector<FileReport> others_;
    std::deque<Pending> pending_;
    Recovered out_;
};

FileRole Recovery::role_of(HeaderState state, const FileHeader& header) const {
    switch (state) {
        case HeaderState::unused:
            return FileRole::unused;
        case HeaderState::damaged:
            return FileRole::damaged;
        case HeaderState::newer:
            return FileRole::newer;
        case HeaderState::good:
            break;
    }
    if (queue_ != nullptr && header.queue != *queue_) return FileRole::foreign;
    if (!log_.empty() && (header.queue != log_.front().report.header.queue ||
                          header.kind != log_.front().report.header.kind)) {
        return FileRole::foreign;
    }
    return FileRole::log;
}

std::optional<RecoveryError> Recovery::inspect(const std::string& name) {
    LogFile found;
    found.report.name = name;
    if (const int error = disk_.open(name, found.file, found.report.bytes); error != 0)
        return RecoveryError{error, fmt::format("{} cannot be opened", name)};
    std::vector<std::byte> sector(sizeof(FileHeader));
    const std::int64_t count = read_whole(disk_, *found.file, 0, sector);
    HeaderState state = HeaderState::damaged;
    if (count >= 0) {
        sector.resize(static_cast<std::size_t>(count));
        state = read_header(sector, found.report.header);
    }
    const FileRole role = role_of(state, found.report.header);
    if (role == FileRole::newer) {
        return RecoveryError{0, fmt::format("{} has format version {}, this program knows {}", name,
                                            found.report.header.version, format_version)};
    }
    // Whatever it is, no successor may take its number for a new writer's.
    if (state == HeaderState::good)
        out_.epochs_taken = std::max(out_.epochs_taken, found.report.header.epoch);
    out_.epochs_taken = std::max(out_.epochs_taken, epoch_of_name(name));
    if (role == FileRole::log) {
        log_.push_back(std::move(found));
    } else {
        const char* why = count < 0 ? "the header cannot be read" : "the header is damaged";
        if (role == FileRole::foreign) why = "it belongs to another queue";
        set_aside(std::move(found), role, role == FileRole::unused ? nullptr : why);
    }
    return std::nullopt;
}

void Recovery::set_aside(LogFile file, FileRole role, const char* why) {
    if (why != nullptr) {
        out_.damage.push_back({.file = file.report.name,
                               .offset = 0,
                               .bytes = file.report.bytes,
                               .first_lsn = 0,
                               .records = 0,
                               .what = why});
    }
    file.report.role = role;
    others_.push_back(std::move(file.report));
}

// By writer, then by use; without what a later writer took over, and without copies.
void Recovery::order() {
    const auto rank = [](const LogFile& file) {
        return std::pair(file.report.header.epoch, file.report.header.serial);
    };
    std::stable_sort(log_.begin(), log_.end(),
                     [&](const LogFile& a, const LogFile& b) { return rank(a) < rank(b); });
    std::vector<LogFile> kept;
    std::uint64_t limit = UINT64_MAX;  // where the next later writer begins
    std::uint64_t epoch_first = UINT64_MAX;
    for (std::size_t left = log_.size(); left-- > 0;) {
        LogFile& file = log_[left];
        const FileHeader& header = file.report.header;
        if (!kept.empty() && kept.back().report.header.epoch != header.epoch) limit = epoch_first;
        // A header that landed after the next writer had looked counts for nothing.
        const bool unseen = !kept.empty() && header.epoch < kept.back().report.header.epoch &&
                            header.epoch > kept.back().report.header.previous_epoch;
        if (unseen || header.first_lsn >= limit) {
            set_aside(std::move(file), FileRole::superseded, nullptr);
        } else if (left > 0 && rank(log_[left - 1]) == rank(file)) {
            set_aside(std::move(file), FileRole::duplicate, "it is a copy of another file");
        } else {
            epoch_first = std::min(epoch_first, header.first_lsn);
            kept.push_back(std::move(file));
        }
    }
    std::reverse(kept.begin(), kept.end());
    log_ = std::move(kept);
    if (!log_.empty()) out_.last_epoch = log_.back().report.header.epoch;
}

void Recovery::read_records(std::size_t index) {
    FileReport& report = log_[index].report;
    const FileHeader& header = report.header;
    const bool last = index + 1 == log_.size();
    const std::uint64_t limit = last ? UINT64_MAX : log_[index + 1].report.header.first_lsn;
    out_.floor = std::max(out_.floor, header.floor);
    prove(header.first_lsn - 1);
    FileScan scan(disk_, *log_[index].file, header, report.bytes);
    std::optional<Hole> hole;
    std::uint64_t expected = header.first_lsn;
    for (;;) {
        const Scanner::Step step = scan.next();
        if (step == Scanner::Step::end) break;
        if (step == Scanner::Step::hole) {
            hole = scan.hole();
            continue;
        }
        const Record& record = scan.record();
        if (record.header.lsn >= limit) break;  // landed after the successor had taken over
        if (hole) meet_hole(index, *hole, scan.take_error());
        hole.reset();
        meet_record(index, record);
        expected = record.header.lsn + 1;
        report.last_lsn = record.header.lsn;
        report.written_end = scan.written_end();
        report.sealed = record.kind() == RecordKind::seal;
        if (record.kind() == RecordKind::message) ++report.messages;
    }
    report.first_lsn = header.first_lsn;
    report.written_end = std::max<std::uint64_t>(report.written_end, header.record_start);
    report.last_lsn = expected - 1;
    if (last) {
        // What follows is nothing, or the rest of a torn batch; unless nobody can tell.
        std::string why = scan.take_error();
        if (!hole || why.empty()) return;
        report.damaged_inside = true;
        out_.damage.push_back({.file = report.name,
                               .offset = hole->offset,
                               .bytes = hole->end - hole->offset,
                               .first_lsn = hole->lsn,
                               .records = 0,
                               .what = std::move(why)});
        return;
    }
    if (expected >= limit) return;
    if (!hole) hole = Hole{.offset = report.written_end, .end = report.bytes, .lsn = expected};
    hole->next_lsn = limit;
    meet_hole(index, *hole, scan.take_error());
}

void Recovery::meet_record(std::size_t index, const Record& record) {
    Pending pending;
    pending.file = index;
    pending.record = {.file = index, .offset = record.offset, .header = record.header};
    if (record.kind() == RecordKind::counts)
        pending.counts.assign(record.payload.begin(), record.payload.end());
    pending_.push_back(std::move(pending));
    // A spill log is not synced: while the kernel lives, what can be read was written.
    prove(is_durable() ? synced_before(record.header) : record.header.lsn);
}

void Recovery::meet_hole(std::size_t index, const Hole& hole, std::string why) {
    Pending pending;
    pending.file = index;
    pending.is_hole = true;
    pending.hole = hole;
    pending.why = std::move(why);
    pending_.push_back(std::move(pending));
}

void Recovery::prove(std::uint64_t lsn) {
    out_.proven = std::max(out_.proven, lsn);
    while (!pending_.empty()) {
        const Pending& first = pending_.front();
        if ((first.is_hole ? first.hole.lsn : first.record.header.lsn) > out_.proven) return;
        first.is_hole ? report(first) : apply(first);
        pending_.pop_front();
    }
}

void Recovery::report(const Pending& hole) {
    FileReport& file = log_[hole.file].report;
    file.damaged_inside = true;
    const std::uint64_t bytes = hole.hole.end - hole.hole.offset;
    std::string what = bytes == 0 ? "records are missing" : "no valid record";
    if (!hole.why.empty()) what = hole.why;
    out_.damage.push_back({.file = file.name,
                           .offset = hole.hole.offset,
                           .bytes = bytes,
                           .first_lsn = hole.hole.lsn,
                           .records = hole.hole.next_lsn - hole.hole.lsn,
                           .what = std::move(what)});
}

void Recovery::apply_range(const RecordHeader& header) {
    const std::uint64_t first = header.position;
    const std::uint64_t count = header.sequence;
    // It speaks of records before it; anything else is nonsense, and changes nothing.
    if (count == 0 || first >= header.lsn || count > header.lsn - first) return;
    const std::uint64_t last = first + count - 1;
    if (header.kind == static_cast<std::uint8_t>(RecordKind::settled)) {
        out_.live.remove(first, last);
    } else {
        out_.front.add(first, last);
    }
}

void Recovery::apply(const Pending& pending) {
    const RecordHeader& header = pending.record.header;
    switch (static_cast<RecordKind>(header.kind)) {
        case RecordKind::message: {
            const Identity& memory = log_[pending.file].report.header.memory;
            if (header.position != position_none) {
                const bool same = out_.any_position && memory == out_.last_memory;
                if (same && header.position <= out_.last_position) {
                    ++out_.doubles;
                    return;
                }
                out_.last_memory = memory;
                out_.last_position = header.position;
                out_.any_position = true;
            }
            out_.live.add(header.lsn, header.lsn);
            return;
        }
        case RecordKind::settled:
        case RecordKind::front:
            return apply_range(header);
        case RecordKind::counts:
            if (header.position <= header.lsn) out_.floor = std::max(out_.floor, header.position);
            out_.counts = pending.counts;
            return;
        default:
            return;
    }
}

void Recovery::finish() {
    out_.next_lsn = out_.proven + 1;
    bool torn = false;
    for (const Pending& pending : pending_) {
        if (pending.is_hole && !pending.why.empty()) {
            report(pending);  // what cannot be read is no torn tail
            continue;
        }
        torn = torn || pending.is_hole;
        if (torn) {
            out_.torn_records += pending.is_hole ? 0 : 1;
            continue;
        }
        out_.tail.push_back(pending.record);
        apply(pending);
        out_.next_lsn = pending.record.header.lsn + 1;
    }
    // A spill log's floor is in the queue's memory, which lives as long as such a log counts.
    if (!log_.empty() && is_durable() && log_.front().report.first_lsn > out_.floor) {
        out_.damage.push_back({.file = log_.front().report.name,
                               .offset = 0,
                               .bytes = 0,
                               .first_lsn = out_.floor,
                               .records = log_.front().report.first_lsn - out_.floor,
                               .what = "the files before this one are missing"});
    }
    // Nothing before the floor is needed, so nothing before it is missing.
    std::erase_if(out_.damage, [&](const Damage& damage) {
        return damage.records != 0 && damage.first_lsn + damage.records <= out_.floor;
    });
    out_.live.remove(0, out_.floor - 1);
    out_.front.keep_only(out_.live);
    for (LogFile& file : log_)
        out_.files.push_back(std::move(file.report));
    for (FileReport& report : others_)
        out_.files.push_back(std::move(report));
}

}  // namespace

std::expected<Recovered, RecoveryError> recover(Disk& disk, const Identity* queue) {
    return Recovery(disk, queue).run();
}

std::string file_name(std::uint64_t epoch, std::uint64_t serial) {
    return fmt::format("{:08}-{:08}{}", epoch, serial, file_suffix);
}

}  // namespace shmq::journal

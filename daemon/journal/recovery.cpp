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

// Between two looks at the clock.
constexpr int records_a_go = 64;

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
    std::optional<Origin> origin;
};

}  // namespace

class Recovery::Work {
  public:
    Work(Disk& disk, const Identity* queue, std::function<void()> changed)
        : disk_(disk), changed_(std::move(changed)) {
        if (queue != nullptr) queue_ = *queue;
    }

    Step step(Nanoseconds until);

    Recovered out;
    RecoveryError error;
    std::uint64_t bytes_read() const { return bytes_before_ + (scan_ ? scan_->offset() : 0); }
    std::uint64_t bytes_total() const { return bytes_total_; }

  private:
    // Each answers `done` when its part is.
    Step list();
    Step inspect_next();
    Step read_some();

    std::optional<RecoveryError> inspect(const std::string& name);
    FileRole role_of(HeaderState state, const FileHeader& header) const;
    void order();
    void set_aside(FileReport file, FileRole role, const char* why);
    Step begin_file();
    void take(const Record& record);
    void end_file();
    std::uint64_t limit() const {
        return index_ + 1 == log_.size() ? UINT64_MAX : log_[index_ + 1].header.first_lsn;
    }
    void meet_record(const Record& record);
    void meet_hole(const Hole& hole, std::string why);
    void prove(std::uint64_t lsn);
    void apply(const Pending& pending);
    void apply_range(const RecordHeader& header);
    void report(const Pending& hole);
    void finish();
    Step fail(RecoveryError why) {
        error = std::move(why);
        return Step::failed;
    }
    bool is_durable() const {
        return log_.front().header.kind == static_cast<std::uint32_t>(LogKind::durable);
    }

    Disk& disk_;
    std::optional<Identity> queue_;
    std::function<void()> changed_;
    enum class Part { listing, inspecting, reading, over } part_ = Part::listing;
    std::vector<std::string> names_;  // to be looked at, the next one last
    std::vector<FileReport> log_;
    std::vector<FileReport> others_;
    std::uint64_t bytes_total_ = 0;
    // Of log_: the file that is read now.
    std::size_t index_ = 0;
    std::unique_ptr<FileScan> scan_;
    std::optional<Hole> hole_;
    std::uint64_t expected_ = 0;
    std::uint64_t bytes_before_ = 0;  // in files that were read
    std::deque<Pending> pending_;
};

// ---- Steps -------------------------------------------------------------------------------------

Recovery::Step Recovery::Work::step(Nanoseconds until) {
    do {
        Step step = Step::done;
        switch (part_) {
            case Part::listing:
                step = list();
                if (step == Step::done) part_ = Part::inspecting;
                break;
            case Part::inspecting:
                step = inspect_next();
                if (step == Step::done) part_ = Part::reading;
                break;
            case Part::reading:
                step = read_some();
                if (step == Step::done) part_ = Part::over;
                break;
            case Part::over:
                return Step::done;
        }
        if (step == Step::failed || step == Step::waiting) return step;
    } while (part_ == Part::over || monotonic_now() < until);
    return Step::more;
}

Recovery::Step Recovery::Work::list() {
    if (const int number = disk_.list(names_); number != 0)
        return fail({number, "the directory cannot be listed"});
    std::erase_if(names_, [](const std::string& name) { return !name.ends_with(file_suffix); });
    std::sort(names_.rbegin(), names_.rend());
    return Step::done;
}

Recovery::Step Recovery::Work::inspect_next() {
    if (!names_.empty()) {
        const std::string name = std::move(names_.back());
        names_.pop_back();
        auto wrong = inspect(name);
        return wrong ? fail(std::move(*wrong)) : Step::more;
    }
    order();
    for (const FileReport& file : log_)
        bytes_total_ += file.bytes;
    return Step::done;
}

FileRole Recovery::Work::role_of(HeaderState state, const FileHeader& header) const {
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
    if (queue_ && header.queue != *queue_) return FileRole::foreign;
    if (!log_.empty() &&
        (header.queue != log_.front().header.queue || header.kind != log_.front().header.kind)) {
        return FileRole::foreign;
    }
    return FileRole::log;
}

std::optional<RecoveryError> Recovery::Work::inspect(const std::string& name) {
    FileReport found;
    found.name = name;
    std::unique_ptr<File> file;
    if (const int number = disk_.open(name, file, found.bytes); number != 0)
        return RecoveryError{number, fmt::format("{} cannot be opened", name)};
    std::vector<std::byte> sector(sizeof(FileHeader));
    const std::int64_t count = read_whole(disk_, *file, 0, sector);
    HeaderState state = HeaderState::damaged;
    if (count >= 0) {
        sector.resize(static_cast<std::size_t>(count));
        state = read_header(sector, found.header);
    }
    const FileRole role = role_of(state, found.header);
    if (role == FileRole::newer) {
        return RecoveryError{0, fmt::format("{} has format version {}, this program knows {}", name,
                                            found.header.version, format_version)};
    }
    // Whatever it is, no successor may take its number for a new writer's.
    if (state == HeaderState::good)
        out.epochs_taken = std::max(out.epochs_taken, found.header.epoch);
    out.epochs_taken = std::max(out.epochs_taken, epoch_of_name(name));
    if (role == FileRole::log) {
        log_.push_back(std::move(found));
    } else {
        const char* why = count < 0 ? "the header cannot be read" : "the header is damaged";
        if (role == FileRole::foreign) why = "it belongs to another queue";
        set_aside(std::move(found), role, role == FileRole::unused ? nullptr : why);
    }
    return std::nullopt;
}

void Recovery::Work::set_aside(FileReport file, FileRole role, const char* why) {
    if (why != nullptr) {
        out.damage.push_back({.file = file.name,
                              .offset = 0,
                              .bytes = file.bytes,
                              .first_lsn = 0,
                              .records = 0,
                              .what = why});
    }
    file.role = role;
    others_.push_back(std::move(file));
}

// By writer, then by use; without what a later writer took over, and without copies.
void Recovery::Work::order() {
    const auto rank = [](const FileReport& file) {
        return std::pair(file.header.epoch, file.header.serial);
    };
    std::stable_sort(log_.begin(), log_.end(),
                     [&](const FileReport& a, const FileReport& b) { return rank(a) < rank(b); });
    std::vector<FileReport> kept;
    std::uint64_t limit = UINT64_MAX;  // where the next later writer begins
    std::uint64_t epoch_first = UINT64_MAX;
    for (std::size_t left = log_.size(); left-- > 0;) {
        FileReport& file = log_[left];
        const FileHeader& header = file.header;
        if (!kept.empty() && kept.back().header.epoch != header.epoch) limit = epoch_first;
        // A header that landed after the next writer had looked counts for nothing.
        const bool unseen = !kept.empty() && header.epoch < kept.back().header.epoch &&
                            header.epoch > kept.back().header.previous_epoch;
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
    if (!log_.empty()) out.last_epoch = log_.back().header.epoch;
}

Recovery::Step Recovery::Work::read_some() {
    if (index_ == log_.size()) {
        finish();
        return Step::done;
    }
    if (scan_ == nullptr) return begin_file();
    for (int count = 0; count < records_a_go; ++count) {
        switch (scan_->next()) {
            case Scanner::Step::need:
                return Step::waiting;
            case Scanner::Step::hole:
                hole_ = scan_->hole();
                break;
            case Scanner::Step::record:
                // Beyond it, it landed after the successor had taken over.
                if (scan_->record().header.lsn < limit()) {
                    take(scan_->record());
                    break;
                }
                [[fallthrough]];
            case Scanner::Step::end:
                end_file();
                return Step::more;
        }
    }
    return Step::more;
}

Recovery::Step Recovery::Work::begin_file() {
    const FileReport& report = log_[index_];
    std::unique_ptr<File> file;
    std::uint64_t bytes = 0;
    if (const int number = disk_.open(report.name, file, bytes); number != 0)
        return fail({number, fmt::format("{} cannot be opened", report.name)});
    out.floor = std::max(out.floor, report.header.floor);
    prove(report.header.first_lsn - 1);
    scan_ =
        std::make_unique<FileScan>(disk_, std::move(file), report.header, report.bytes, changed_);
    hole_.reset();
    expected_ = report.header.first_lsn;
    return Step::more;
}

void Recovery::Work::take(const Record& record) {
    FileReport& report = log_[index_];
    if (hole_) meet_hole(*hole_, scan_->take_error());
    hole_.reset();
    meet_record(record);
    expected_ = record.header.lsn + 1;
    report.last_lsn = record.header.lsn;
    report.written_end = scan_->written_end();
    report.sealed = record.kind() == RecordKind::seal;
    if (record.kind() == RecordKind::message) ++report.messages;
}

void Recovery::Work::end_file() {
    FileReport& report = log_[index_];
    report.first_lsn = report.header.first_lsn;
    report.written_end = std::max<std::uint64_t>(report.written_end, report.header.record_start);
    report.last_lsn = expected_ - 1;
    std::string why = scan_->take_error();
    if (index_ + 1 < log_.size()) {
        if (!hole_)
            hole_ = Hole{.offset = report.written_end, .end = report.bytes, .lsn = expected_};
        hole_->next_lsn = limit();
        if (expected_ < limit()) meet_hole(*hole_, std::move(why));
    } else if (hole_ && !why.empty()) {
        // What follows is nothing, or the rest of a torn batch; unless nobody can tell.
        report.damaged_inside = true;
        out.damage.push_back({.file = report.name,
                              .offset = hole_->offset,
                              .bytes = hole_->end - hole_->offset,
                              .first_lsn = hole_->lsn,
                              .records = 0,
                              .what = std::move(why)});
    }
    bytes_before_ += report.bytes;
    scan_.reset();
    ++index_;
}

void Recovery::Work::meet_record(const Record& record) {
    Pending pending;
    pending.file = index_;
    pending.record = {.file = index_, .offset = record.offset, .header = record.header};
    if (record.kind() == RecordKind::counts)
        pending.counts.assign(record.payload.begin(), record.payload.end());
    if (record.kind() == RecordKind::message && (record.header.flags & flag_moved) != 0)
        pending.origin = read_origin(record.payload);
    pending_.push_back(std::move(pending));
    // A spill log is not synced: while the kernel lives, what can be read was written.
    prove(is_durable() ? synced_before(record.header) : record.header.lsn);
}

void Recovery::Work::meet_hole(const Hole& hole, std::string why) {
    Pending pending;
    pending.file = index_;
    pending.is_hole = true;
    pending.hole = hole;
    pending.why = std::move(why);
    pending_.push_back(std::move(pending));
}

void Recovery::Work::prove(std::uint64_t lsn) {
    out.proven = std::max(out.proven, lsn);
    while (!pending_.empty()) {
        const Pending& first = pending_.front();
        if ((first.is_hole ? first.hole.lsn : first.record.header.lsn) > out.proven) return;
        first.is_hole ? report(first) : apply(first);
        pending_.pop_front();
    }
}

void Recovery::Work::report(const Pending& hole) {
    FileReport& file = log_[hole.file];
    file.damaged_inside = true;
    const std::uint64_t bytes = hole.hole.end - hole.hole.offset;
    std::string what = bytes == 0 ? "records are missing" : "no valid record";
    if (!hole.why.empty()) what = hole.why;
    out.damage.push_back({.file = file.name,
                          .offset = hole.hole.offset,
                          .bytes = bytes,
                          .first_lsn = hole.hole.lsn,
                          .records = hole.hole.next_lsn - hole.hole.lsn,
                          .what = std::move(what)});
}

void Recovery::Work::apply_range(const RecordHeader& header) {
    const std::uint64_t first = header.position;
    const std::uint64_t count = header.sequence;
    // It speaks of records before it; anything else is nonsense, and changes nothing.
    if (count == 0 || first >= header.lsn || count > header.lsn - first) return;
    const std::uint64_t last = first + count - 1;
    if (header.kind == static_cast<std::uint8_t>(RecordKind::settled)) {
        out.live.remove(first, last);
    } else {
        out.front.add(first, last);
    }
}

void Recovery::Work::apply(const Pending& pending) {
    const RecordHeader& header = pending.record.header;
    switch (static_cast<RecordKind>(header.kind)) {
        case RecordKind::message: {
            const Identity& memory = log_[pending.file].header.memory;
            if (header.position != position_none) {
                const bool same = out.any_position && memory == out.last_memory;
                if (same && header.position <= out.last_position) {
                    ++out.doubles;
                    return;
                }
                out.last_memory = memory;
                out.last_position = header.position;
                out.any_position = true;
            }
            out.live.add(header.lsn, header.lsn);
            if (pending.origin) out.moved_in.push_back({header.lsn, *pending.origin});
            return;
        }
        case RecordKind::settled:
        case RecordKind::front:
            return apply_range(header);
        case RecordKind::attempts:
            if (header.position < header.lsn && out.live.contains(header.position))
                out.attempts[header.position] = {header.deliveries, header.failures};
            return;
        case RecordKind::counts:
            if (header.position <= header.lsn) out.floor = std::max(out.floor, header.position);
            out.counts = pending.counts;
            return;
        default:
            return;
    }
}

void Recovery::Work::finish() {
    out.next_lsn = out.proven + 1;
    bool torn = false;
    for (const Pending& pending : pending_) {
        if (pending.is_hole && !pending.why.empty()) {
            report(pending);  // what cannot be read is no torn tail
            continue;
        }
        torn = torn || pending.is_hole;
        if (torn) {
            out.torn_records += pending.is_hole ? 0 : 1;
            continue;
        }
        out.tail.push_back(pending.record);
        apply(pending);
        out.next_lsn = pending.record.header.lsn + 1;
    }
    // A spill log's floor is in the queue's memory, which lives as long as such a log counts.
    if (!log_.empty() && is_durable() && log_.front().first_lsn > out.floor) {
        out.damage.push_back({.file = log_.front().name,
                              .offset = 0,
                              .bytes = 0,
                              .first_lsn = out.floor,
                              .records = log_.front().first_lsn - out.floor,
                              .what = "the files before this one are missing"});
    }
    // Nothing before the floor is needed, so nothing before it is missing.
    std::erase_if(out.damage, [&](const Damage& damage) {
        return damage.records != 0 && damage.first_lsn + damage.records <= out.floor;
    });
    out.live.remove(0, out.floor - 1);
    out.front.keep_only(out.live);
    std::erase_if(out.attempts, [&](const auto& each) { return !out.live.contains(each.first); });
    std::erase_if(out.moved_in, [&](const MovedIn& each) { return !out.live.contains(each.lsn); });
    for (FileReport& file : log_)
        out.files.push_back(std::move(file));
    for (FileReport& report : others_)
        out.files.push_back(std::move(report));
}

Recovery::Recovery(Disk& disk, const Identity* queue, std::function<void()> changed)
    : work_(std::make_unique<Work>(disk, queue, std::move(changed))) {}

Recovery::~Recovery() = default;

Recovery::Step Recovery::step(Nanoseconds until) {
    return work_->step(until);
}

Recovered Recovery::take() {
    return std::move(work_->out);
}

const RecoveryError& Recovery::error() const {
    return work_->error;
}

std::uint64_t Recovery::bytes_read() const {
    return work_->bytes_read();
}

std::uint64_t Recovery::bytes_total() const {
    return work_->bytes_total();
}

std::expected<Recovered, RecoveryError> recover(Disk& disk, const Identity* queue) {
    Recovery recovery(disk, queue);
    if (recovery.step(no_deadline) == Recovery::Step::failed)
        return std::unexpected(recovery.error());
    return recovery.take();
}

std::string file_name(std::uint64_t epoch, std::uint64_t serial) {
    return fmt::format("{:08}-{:08}{}", epoch, serial, file_suffix);
}

}  // namespace shmq::journal

#include "daemon/journal/reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.hpp"

namespace shmq::journal {

Reader::Reader(Disk& disk, const Writer& writer, std::uint64_t next, std::function<void()> changed)
    : disk_(disk), writer_(writer), ahead_(disk, std::move(changed)), next_(next) {}

const Record* Reader::peek() {
    while (!holding_) {
        next_ = std::max(next_, writer_.floor());
        if (scanner_ && next_ > last_lsn_) end_stretch();
        if (!scanner_ && !begin_stretch()) return nullptr;
        switch (scanner_->next()) {
            case Scanner::Step::need: {
                const std::uint64_t from = scanner_->offset();
                const auto window = ahead_.bytes(from, scanner_->wanted_end());
                // Without an answer, what the scanner looked at may be gone.
                scanner_->look_at(from, window.value_or(std::span<const std::byte>{}));
                if (!window) return nullptr;
                break;
            }
            case Scanner::Step::record: {
                const Record& record = scanner_->record();
                if (record.header.lsn >= next_) {
                    next_ = record.header.lsn;
                    holding_ = record.kind() == RecordKind::message;
                    if (!holding_) ++next_;
                }
                break;
            }
            case Scanner::Step::hole:
                meet_hole(scanner_->hole());
                break;
            case Scanner::Step::end:
                miss(end_, 0, scanner_->expected(), last_lsn_ + 1, "records are missing");
                end_stretch();
                break;
        }
    }
    return &scanner_->record();
}

void Reader::pass() {
    SHMQ_CHECK(holding_);
    holding_ = false;
    ++next_;
}

void Reader::skip_to(std::uint64_t lsn) {
    if (lsn <= next_) return;
    next_ = lsn;
    holding_ = false;
}

bool Reader::take_damage(Damage& damage) {
    if (damage_.empty()) return false;
    damage = std::move(damage_.front());
    damage_.pop_front();
    return true;
}

// Over what is logged from next_ on, so far as one file holds it; false: nothing is.
bool Reader::begin_stretch() {
    for (;;) {
        const auto part = writer_.part_from(next_);
        if (!part) {
            // The next file may wait for the room of this one: it is not there while it is open.
            if (!name_.empty() && writer_.is_over(first_lsn_, next_)) {
                name_.clear();
                ahead_.close();
            }
            return false;
        }
        if (part->name != name_ || part->first_lsn != first_lsn_) {
            const int error = open(*part);
            if (error == EMFILE || error == ENFILE || error == ENOMEM) {
                name_.clear();  // it is there: the next peek() tries again
                return false;
            }
            miss(0, 0, next_, part->first_lsn, "the files before this one are missing");
            if (error != 0) {
                miss(0, 0, next_, part->last_lsn + 1,
                     std::string("the file cannot be opened: ") + std::strerror(error));
                name_.clear();
                continue;
            }
        }
        scanner_.emplace(part->seed, end_, last_lsn_ + 1, part->end);
        end_ = part->end;
        last_lsn_ = part->last_lsn;
        ahead_.reach(end_);
        return true;
    }
}

int Reader::open(const Writer::Part& part) {
    name_ = part.name;
    first_lsn_ = part.first_lsn;
    end_ = part.record_start;
    last_lsn_ = part.first_lsn - 1;
    // A descriptor of its own: the writer may let the file go.
    std::unique_ptr<File> file;
    std::uint64_t bytes = 0;
    const int error = disk_.open(name_, file, bytes);
    if (error == 0) ahead_.open(std::move(file));
    return error;
}

void Reader::meet_hole(const Hole& hole) {
    // Up to the end of what counts here? Then peek() leaves off, whatever comes behind it.
    const bool last = hole.next_lsn == 0 || hole.next_lsn > last_lsn_;
    std::string why = ahead_.take_error();
    if (why.empty()) why = hole.end == hole.offset ? "records are missing" : "no valid record";
    miss(hole.offset, hole.end - hole.offset, hole.lsn, last ? last_lsn_ + 1 : hole.next_lsn, why);
}

// Records from `lsn` to before `next_lsn` are not there; those that nobody wants do not count.
void Reader::miss(std::uint64_t offset, std::uint64_t bytes, std::uint64_t lsn,
                  std::uint64_t next_lsn, const std::string& what) {
    lsn = std::max(lsn, next_);
    if (lsn >= next_lsn) return;
    damage_.push_back({.file = name_,
                       .offset = offset,
                       .bytes = bytes,
                       .first_lsn = lsn,
                       .records = next_lsn - lsn,
                       .what = what});
    next_ = next_lsn;
}

// The next one goes on behind it, in the same file or in another.
void Reader::end_stretch() {
    next_ = std::max(next_, last_lsn_ + 1);
    scanner_.reset();
}

}  // namespace shmq::journal

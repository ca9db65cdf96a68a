// The files of a log: where they come from, and where they go when nobody needs them.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "daemon/journal/writer.hpp"

namespace shmq::journal {

void Writer::trim(std::uint64_t floor) {
    floor_ = std::clamp(floor, floor_, next_lsn_);
    advance();
}

std::uint64_t Writer::space_bytes() const {
    std::uint64_t bytes = maker_.busy() || maker_.ready() ? maker_.bytes() : 0;
    for (const auto& file : files_)
        bytes += file->made.file != nullptr || file->inherited ? file->made.bytes : 0;
    for (const MadeFile& spare : spares_)
        bytes += spare.bytes;
    return bytes;
}

std::size_t Writer::file_count() const {
    std::size_t count = spares_.size() + (maker_.busy() || maker_.ready() ? 1U : 0U);
    for (const auto& file : files_)
        count += file->made.file != nullptr || file->inherited ? 1U : 0U;
    return count;
}

std::optional<Writer::Part> Writer::part_from(std::uint64_t lsn) const {
    // Behind the one that is sought. A file whose first LSN is not known yet is the last one.
    auto at = std::upper_bound(
        files_.begin(), files_.end(), lsn, [](std::uint64_t sought, const auto& file) {
            return file->header.first_lsn == 0 || sought < file->header.first_lsn;
        });
    if (at != files_.begin()) --at;
    for (; at != files_.end(); ++at) {
        const FileHeader& header = (*at)->header;
        // Up to where the next one begins, whatever is there.
        const bool last = std::next(at) == files_.end() || (*std::next(at))->header.first_lsn == 0;
        const std::uint64_t end = last ? (*at)->last_lsn : (*std::next(at))->header.first_lsn - 1;
        const std::uint64_t last_lsn = std::min(end, logged_);
        if (header.first_lsn == 0 || last_lsn < std::max(lsn, header.first_lsn)) continue;
        return Part{.name = (*at)->made.name,
                    .seed = header.seed,
                    .first_lsn = header.first_lsn,
                    .last_lsn = last_lsn,
                    .record_start = header.record_start,
                    .end = (*at)->logged_end};
    }
    return std::nullopt;
}

bool Writer::at_hand(std::uint64_t bytes) const {
    return std::any_of(spares_.begin(), spares_.end(),
                       [&](const MadeFile& spare) { return spare.bytes >= bytes; });
}

bool Writer::is_over(std::uint64_t first_lsn, std::uint64_t lsn) const {
    const auto file = std::find_if(files_.begin(), files_.end(), [&](const auto& each) {
        return each->header.first_lsn == first_lsn;
    });
    return file == files_.end() || ((*file)->finished && (*file)->last_lsn < lsn);
}

// What the maker has made, or why it could not.
void Writer::take_made() {
    if (maker_.busy()) return;
    const bool needed = std::exchange(maker_needed_, false);
    if (maker_.ready()) {
        spares_.push_back(maker_.take());
    } else if (needed && maker_.error() == ENOSPC && take_over_with_less()) {
        start_maker(batches_.front().file->bytes, true);
    } else if (needed) {
        refuse(maker_.error(), "making", file_name(epoch_, made_count_));
    }
}

// A log on a full disk must be taken over all the same, or nobody could empty it. So its first file
// may be as small as what stands in it allows, and what a predecessor had made ahead goes before.
// Whether there is another attempt to be made.
bool Writer::take_over_with_less() {
    if (taken_over() || batches_.empty()) return false;
    if (!unused_.empty()) {
        for (const std::string& name : std::exchange(unused_, {}))
            disk_.remove(name);
        return true;
    }
    LogFile& file = *batches_.front().file;
    // A block for what closes the first batch; durable: and some for acks and the floor.
    const std::uint64_t blocks = is_durable() ? 4 : 1;
    const std::uint64_t least =
        round_up(file.end, durable_alignment_bytes) + blocks * durable_alignment_bytes;
    const std::uint64_t less = std::max(least, round_up(file.bytes / 2, durable_alignment_bytes));
    if (less >= file.bytes) return false;
    file.bytes = less;
    return true;
}

bool Writer::take_spare(LogFile& file) {
    const auto fits = std::find_if(spares_.begin(), spares_.end(), [&](const MadeFile& spare) {
        return spare.bytes >= file.bytes;
    });
    if (fits == spares_.end()) return false;
    file.made = std::move(*fits);
    spares_.erase(fits);
    spare_refused_ = false;
    return true;
}

// Whether the file is there to be written to; if not, it is on its way, or the log has no room.
bool Writer::attach_file(LogFile& file) {
    if (file.made.file != nullptr || take_spare(file)) return true;
    if (state_ == State::open && !maker_.busy()) start_maker(file.bytes, true);
    return false;
}

// `needed`: somebody waits for it.
void Writer::start_maker(std::uint64_t bytes, bool needed) {
    while (needed && !spares_.empty()) {  // too small
        disk_.remove(spares_.front().name);
        spares_.pop_front();
    }
    // A log that is full must be taken over all the same, or nobody could empty it.
    if (taken_over() && space_bytes() + bytes > options_.space_max_bytes) {
        if (needed) lack_room(0, "a further file");
        return;
    }
    maker_needed_ = needed;
    maker_.start(file_name(epoch_, ++made_count_), bytes);
}

void Writer::tend_files() {
    record_floor();
    release_files();
    make_spare();
}

// Says in the log what is not needed any more, where that lets go of a file: so that a file whose
// removal a crash undid is known for what it is.
void Writer::record_floor() {
    if (!is_durable() || floor_told_ >= floor_ || files_.empty()) return;
    const bool frees = files_.front()->finished && files_.front()->last_lsn < floor_ &&
                       (floor_lsn_ == 0 || files_.front()->last_lsn >= floor_told_);
    if (!frees || drained()) return;
    if (append_counts(std::vector<std::byte>(counts_)) != 0) again_ = true;
}

// A spill log that holds nothing needs no file.
bool Writer::drained() const {
    return !is_durable() && batches_.empty() && !busy_ && floor_ > last_message_lsn_;
}

void Writer::release_files() {
    if (!taken_over()) return;
    const bool all = drained();
    const bool told = floor_lsn_ != 0 && safe() >= floor_lsn_;
    // A spill log need not say it: its removals are not undone as long as it counts. But a file
    // whose messages were settled before they were written has yet to come and go.
    const std::uint64_t unsaid = std::min(floor_, logged_ + 1);
    const std::uint64_t floor = !is_durable() ? unsaid : told ? floor_told_ : 0;
    while (!files_.empty() &&
           (all || (files_.front()->finished && files_.front()->last_lsn < floor))) {
        release(*files_.front());
        files_.pop_front();
        if (state_ == State::no_room) {
            state_ = State::open;
            stuck_ = false;
            again_ = true;
        }
    }
    if (!all) return;
    remove_leftovers();
    floor_ = floor_told_ = next_lsn_;  // what went with the files was about nothing any more
}

void Writer::remove_leftovers() {
    for (const std::string& name : leftovers_)
        disk_.remove(name);
    leftovers_.clear();
}

void Writer::release(LogFile& file) {
    if (file.made.file == nullptr && !file.inherited) return;  // it never came to be
    if (file.damaged) {
        disk_.rename(file.made.name, file.made.name + ".damaged");
        return;
    }
    // Used again only where nobody else can still be writing to it: a predecessor's is removed.
    const bool reusable = is_durable() && !file.inherited && spares_.empty() && !maker_.busy() &&
                          !maker_.ready() && file.made.bytes >= options_.file_bytes;
    if (reusable) {
        spares_.push_back(std::move(file.made));
    } else {
        disk_.remove(file.made.name);
    }
}

// The second of the two files that a durable log uses in turn, made before the first is full.
void Writer::make_spare() {
    if (!is_durable() || state_ != State::open || files_.empty() || maker_.busy()) return;
    const bool needed = wanted_bytes_ != 0;
    if (needed ? at_hand(wanted_bytes_) : !spares_.empty() || spare_refused_) return;
    const LogFile& file = *files_.back();
    if (!needed && (file.made.file == nullptr || file.end < file.bytes / 2)) return;
    spare_refused_ = true;  // until a file was taken into use: no attempt after attempt
    start_maker(needed ? wanted_bytes_ : options_.file_bytes, needed);
}

}  // namespace shmq::journal

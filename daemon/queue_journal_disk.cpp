// A queue's journal and its disk: no room, failures, and what people are told.
#include <fmt/format.h>

#include <algorithm>

#include "base/clock.hpp"
#include "daemon/queue_journal.hpp"

namespace shmq::daemon {
namespace {

constexpr Nanoseconds retry_ns = nanoseconds_per_second;

}  // namespace

// ---- The disk ----------------------------------------------------------------------------------

void QueueJournal::look_at_disk() {
    shm::JournalArea& area = segment_.header().journal;
    const Nanoseconds now = monotonic_now();
    if (writer_->state() == journal::Writer::State::no_room && retry_at_ != 0 && now >= retry_at_)
        writer_->retry();
    switch (writer_->state()) {
        case journal::Writer::State::open:
            if (retry_at_ != 0) {
                retry_at_ = 0;
                side_.tell_room(true);
                alarm_("");
            }
            return;
        case journal::Writer::State::no_room:
            if (retry_at_ == 0)
                alarm_(fmt::format("its journal finds no room: {}; it goes on when there is some",
                                   writer_->error().text));
            side_.tell_room(false);
            if (retry_at_ <= now) retry_at_ = deadline_after(now, retry_ns);
            return;
        case journal::Writer::State::failed:
            if (area.confirms_end.exchange(1, std::memory_order_seq_cst) == 0 || !given_up_)
                give_up_log();
            return;
    }
}

// What is written can still be read; what is not, is in the ingress, and goes straight from there.
void QueueJournal::give_up_log() {
    given_up_ = true;
    retry_at_ = 0;
    side_.tell_room(false);
    const std::string promise =
        durable()
            ? "nothing more is confirmed; messages sent from now on last as long as its memory"
            : "it holds what its ring holds, and no more";
    alarm_(fmt::format("its journal failed: {}; {}; start the daemon anew when the disk is mended",
                       writer_->error().text, promise));
    while (!appended_.empty() && appended_.back().lsn > writer_->logged()) {
        appended_.pop_back();
        spilled_ -= std::min<std::uint64_t>(spilled_, 1);
    }
    forget_moves();
    tell_backlog();
    last_message_ = std::min(last_message_, writer_->logged());
    in_hand_.reset();
    side_.take_again(appended_.empty() ? side_.oldest() : appended_.back().position + 1);
    side_.confirm(segment_.header().journal.logged.load(std::memory_order_relaxed),
                  segment_.header().journal.durable.load(std::memory_order_relaxed));
}

QueueJournal::Status QueueJournal::status() const {
    Status status;
    status.spilled = spilled_;
    status.spilled_bytes = spilled_bytes_;
    const std::uint64_t standing = side_.count();
    status.arriving = standing - std::min<std::uint64_t>(standing, appended_.size());
    status.gate = side_.gate();
    status.state = state();
    status.recovering = recovering();
    if (recovering()) {
        status.recovery_bytes = recovery_->bytes_total();
        status.recovered_bytes = recovery_->bytes_read();
    }
    if (writer_ == nullptr) return status;
    status.file_bytes = writer_->space_bytes();
    status.logged = logged_count_ + appended_.size();
    status.durable = synced() ? logged_count_ : 0;
    status.syncs = writer_->syncs();
    return status;
}

}  // namespace shmq::daemon

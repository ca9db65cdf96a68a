// Messages that come into a queue's journal from other queues: docs/decisions/0054.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "daemon/journal/wall_clock.hpp"
#include "daemon/queue_journal.hpp"

namespace shmq::daemon {
namespace {

// The log outlives the clock of a history's times. What is 0 is not known, and stays so.
template <typename Convert>
void convert_times(std::byte* history, Convert convert) {
    shm::DeadLetterRecord record;
    std::memcpy(&record, history, sizeof record);
    for (std::uint64_t* time : {&record.first_failure_at, &record.last_failure_at, &record.moved_at,
                                &record.redriven_at}) {
        if (*time != 0) *time = convert(*time);
    }
    std::memcpy(history, &record, sizeof record);
}

std::uint16_t counted(std::uint32_t times) {
    return static_cast<std::uint16_t>(std::min<std::uint32_t>(times, UINT16_MAX));
}

}  // namespace

// ---- Into the log ------------------------------------------------------------------------------

bool QueueJournal::append_moved(MovedIn message) {
    SHMQ_CHECK(takes_moves());
    wall_clock_ahead_ = journal::wall_clock_ahead();
    std::uint8_t flags = journal::flag_moved | journal::flag_redelivered;
    if ((message.marks & shm::length_redriven) != 0) flags |= journal::flag_redriven;
    if ((message.marks & shm::length_history) != 0) {
        flags |= journal::flag_history;
        convert_times(message.bytes.data() + shm::history_offset(message.origin.message_bytes),
                      [this](std::uint64_t monotonic) { return to_realtime(monotonic); });
    }
    const auto* origin = reinterpret_cast<const std::byte*>(&message.origin);
    message.bytes.insert(message.bytes.end(), origin, origin + sizeof message.origin);
    const std::uint64_t lsn = writer_->append({.timestamp_ns = to_realtime(message.timestamp),
                                               .flags = flags,
                                               .deliveries = counted(message.deliveries),
                                               .payload = message.bytes});
    if (lsn == 0) return false;
    ++spilled_;
    spilled_bytes_ += message.bytes.size();
    moving_.push_back({lsn, std::move(message.bytes), std::move(message.done)});
    unsettled_.add(lsn, lsn);
    last_message_ = lsn;
    tell_backlog();
    wake();
    return true;
}

// What is safe here is let go at its source; nothing of it was offered before.
bool QueueJournal::finish_moves() {
    bool finished = false;
    while (!moving_.empty() && moving_.front().lsn <= writer_->safe()) {
        const Moving move = std::move(moving_.front());
        moving_.pop_front();
        if (!move.done(true)) drop_move(move);
        finished = true;
    }
    return finished;
}

// The log took no more, or ends here: what it may hold of these counts for nothing.
void QueueJournal::forget_moves() {
    for (const Moving& move : std::exchange(moving_, {})) {
        drop_move(move);
        move.done(false);
    }
}

void QueueJournal::drop_move(const Moving& move) {
    void_.add(move.lsn, move.lsn);
    spilled_ -= std::min<std::uint64_t>(spilled_, 1);
    spilled_bytes_ -= std::min<std::uint64_t>(spilled_bytes_, move.bytes.size());
}

bool QueueJournal::says_gone(std::uint64_t lsn) const {
    if (recovering()) return false;
    if (failed()) return true;
    if (!begun_ || unsettled_.contains(lsn) || to_settle_.contains(lsn)) return false;
    return std::none_of(settling_.begin(), settling_.end(), [&](const Settling& each) {
        return each.first <= lsn && lsn <= each.last;
    });
}

// ---- What has failed ---------------------------------------------------------------------------

void QueueJournal::note_failures(const std::vector<shm::Failed>& failed) {
    if (!durable() || !begun_ || failed.empty()) return;
    for (const shm::Failed& each : failed) {
        if (unsettled_.contains(each.lsn))  // else a peer's bytes
            to_count_[each.lsn] = {counted(each.deliveries), counted(each.failures)};
    }
    wake();
}

void QueueJournal::write_counts() {
    while (!to_count_.empty() && !failed()) {
        const auto& [lsn, count] = *to_count_.begin();
        const bool there = unsettled_.contains(lsn);
        if (there && writer_->append_attempts(lsn, count.deliveries, count.failures) == 0) return;
        to_count_.erase(to_count_.begin());
    }
}

// ---- Out of it ---------------------------------------------------------------------------------

// Whether a message that was moved here may be offered now, and how it lies in its record.
QueueJournal::Turn QueueJournal::turn_of(const journal::Record& record, shm::Refill& message) {
    const auto origin = journal::read_origin(record.payload);
    if (!origin || void_.contains(record.header.lsn)) return Turn::never;
    message.moved = true;
    message.length = origin->message_bytes;
    message.payload = record.payload.first(record.payload.size() - sizeof *origin);
    const bool history = (record.header.flags & journal::flag_history) != 0;
    const std::uint64_t bytes =
        history ? shm::bytes_with_history(message.length) : std::uint64_t{message.length};
    if (message.payload.size() != bytes) return Turn::never;
    if (settings_.origins != nullptr && !settings_.origins->settled(*origin)) {
        awaits_source_ = true;
        return Turn::later;
    }
    if ((record.header.flags & journal::flag_redriven) != 0) message.marks |= shm::length_redriven;
    if (!history) return Turn::refill;
    message.marks |= shm::length_history;
    history_.assign(message.payload.begin(), message.payload.end());
    convert_times(history_.data() + shm::history_offset(message.length),
                  [this](std::uint64_t realtime) { return to_monotonic(realtime); });
    message.payload = history_;
    return Turn::refill;
}

// It does not count; nothing that counts messages has it.
void QueueJournal::drop_unread(const journal::RecordHeader& header) {
    if (durable() && unsettled_.contains(header.lsn)) {
        unsettled_.remove(header.lsn, header.lsn);
        to_settle_.add(header.lsn, header.lsn);
    }
    void_.remove(header.lsn, header.lsn);
    reader_->pass();
}

}  // namespace shmq::daemon

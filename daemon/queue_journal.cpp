#include "daemon/queue_journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/clock.hpp"
#include "daemon/journal/wall_clock.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

// Of one go; others wait meanwhile.
constexpr Nanoseconds go_ns = 2 * nanoseconds_per_millisecond;
// While something is under way, should whoever was to ring have been stopped before it did.
constexpr Nanoseconds heartbeat_ns = 100 * nanoseconds_per_millisecond;
// Another queue's log is about to say that it has let a message go.
constexpr Nanoseconds source_poll_ns = 2 * nanoseconds_per_millisecond;
// Files are let go of in steps of so many messages.
constexpr std::uint64_t trim_step = 1024;

}  // namespace

std::string sum_up(const journal::Damage& damage) {
    return fmt::format("{}, offset {}: {} ({} records)", damage.file, damage.offset, damage.what,
                       damage.records);
}

// ---- Work --------------------------------------------------------------------------------------

void QueueJournal::work() {
    if (working_) {
        again_ = true;
        return;
    }
    working_ = true;
    wall_clock_ahead_ = journal::wall_clock_ahead();
    if (recovering()) recover_some();
    if (writer_ != nullptr) work_on_log();
    again_ = false;
    working_ = false;
}

void QueueJournal::wake() {
    if (!recovering()) timers_.arm(timer_, monotonic_now(), [this] { work(); });
}

void QueueJournal::work_on_log() {
    look_at_disk();
    if (!begun_ && (writer_->taken_over() || failed())) begin();
    writer_->flush();
    if (!begun_) return;
    side_.listen(false);
    side_.want_room(false);
    const Nanoseconds until = deadline_after(monotonic_now(), go_ns);
    bool more = true;
    do {
        again_ = false;
        more = work_for(until);
        trim();
        if (!more) go_direct();
        if (!more) sleep();
        if (!more) more = again_ || (!in_hand_ && side_.arrived());
    } while (more && monotonic_now() < until);
    if (more) timers_.arm(timer_, monotonic_now(), [this] { work(); });
}

// Whether there is more to do at once.
bool QueueJournal::work_for(Nanoseconds until) {
    for (;;) {
        bool moved = free_logged();
        moved = finish_moves() || moved;
        moved = refill_from_log() || moved;
        moved = take_arrivals() || moved;
        settle_gone();
        writer_->flush();
        if (!moved && !again_) return false;
        again_ = false;
        if (monotonic_now() >= until) return true;
    }
}

// What is safe in the log leaves the ingress, and is confirmed.
bool QueueJournal::free_logged() {
    const std::uint64_t safe = writer_->safe();
    std::uint64_t through = 0;
    std::uint64_t freed = 0;
    while (!appended_.empty() && appended_.front().lsn <= safe) {
        through = appended_.front().position;
        appended_.pop_front();
        ++freed;
    }
    if (durable() && !synced()) {
        if (freed != 0) side_.confirm(through + 1, 0);
    } else if (durable()) {
        // Logged comes before durable: what is logged still stands in the ingress.
        const auto behind = std::partition_point(
            appended_.begin(), appended_.end(),
            [&](const Appended& each) { return each.lsn <= writer_->logged(); });
        const std::uint64_t logged =
            behind != appended_.begin() ? std::prev(behind)->position + 1 : through + 1;
        if (freed != 0 || behind != appended_.begin())
            side_.confirm(logged, freed != 0 ? through + 1 : side_.oldest());
    }
    if (freed == 0) return false;
    logged_count_ += freed;
    side_.free_through(through);
    return true;
}

bool QueueJournal::log_is_empty() const {
    return reader_->next() > last_message_;
}

bool QueueJournal::refill_from_log() {
    wants_room_ = awaits_source_ = false;
    bool moved = false;
    constexpr std::uint64_t most = 1024;  // then a look at the others
    for (std::uint64_t round = 0; round < most; ++round) {
        const journal::Record* record = reader_->peek();
        if (record == nullptr) break;
        const journal::RecordHeader& header = record->header;
        const bool old = header.lsn < recovered_.next_lsn;
        if (old && !recovered_.live.contains(header.lsn)) {
            reader_->pass();
            continue;
        }
        const bool seen = (old && recovered_.front.contains(header.lsn)) ||
                          (header.flags & journal::flag_redelivered) != 0;
        const auto counted = old ? recovered_.attempts.find(header.lsn) : recovered_.attempts.end();
        shm::Refill message{.source = shm::RefillSource::log,
                            .from = header.lsn,
                            .lsn = header.lsn,
                            .timestamp = to_monotonic(header.timestamp_ns),
                            .payload = record->payload,
                            .deliveries = seen ? std::max<std::uint32_t>(1, header.deliveries) : 0,
                            .failures = header.failures};
        if (counted != recovered_.attempts.end()) {
            message.deliveries = std::max<std::uint32_t>(1, counted->second.deliveries);
            message.failures = counted->second.failures;
        }
        if ((header.flags & journal::flag_moved) != 0) {
            const Turn turn = turn_of(*record, message);
            if (turn == Turn::later) break;
            if (turn == Turn::never) {
                drop_unread(header);
                moved = true;
                continue;
            }
        }
        const shm::RefillStatus status = side_.refill(message);
        if (status == shm::RefillStatus::full) {
            wants_room_ = true;
            break;
        }
        if (status == shm::RefillStatus::too_large) {
            drop_too_large(header);
        } else if (durable()) {
            to_note_.add(header.lsn, header.lsn);
        }
        if (message.moved && status == shm::RefillStatus::done) side_.count_moved_in();
        spilled_ -= std::min<std::uint64_t>(spilled_, 1);
        spilled_bytes_ -= std::min<std::uint64_t>(spilled_bytes_, header.length);
        tell_backlog();
        reader_->pass();
        moved = true;
    }
    for (journal::Damage damage; reader_->take_damage(damage);)
        log().error("queue {}: damaged journal: {}", settings_.name, sum_up(damage));
    return moved;
}

// No writer of ours makes such a record: the file was meddled with.
void QueueJournal::drop_too_large(const journal::RecordHeader& header) {
    log().error(
        "queue {}: record {} of its journal, of {} bytes, exceeds max_message; it was dropped",
        settings_.name, header.lsn, header.length);
    side_.count_damaged();
    side_.skip_to(header.lsn + 1);
    if (!durable()) return;
    unsettled_.remove(header.lsn, header.lsn);
    to_settle_.add(header.lsn, header.lsn);
}

bool QueueJournal::take_arrivals() {
    bool moved = false;
    for (std::uint64_t round = 0; round < limits::ingress_capacity_max; ++round) {
        if (!in_hand_) {
            shm::Arrival arrival;
            if (!side_.take(arrival)) break;
            in_hand_ = arrival;
        }
        if (!place(*in_hand_)) break;
        in_hand_.reset();
        moved = true;
    }
    return moved;
}

bool QueueJournal::place(const shm::Arrival& arrival) {
    if (arrival.damaged) {
        side_.count_damaged();
        log().error("queue {}: a message in the ingress makes no sense; it was dropped",
                    settings_.name);
        if (appended_.empty()) {
            side_.free_through(arrival.position);
        } else {
            appended_.push_back({arrival.position, appended_.back().lsn});
        }
        return true;
    }
    const bool straight = (!durable() || failed()) && appended_.empty() && log_is_empty();
    if (straight) {
        const shm::Refill message{.source = shm::RefillSource::ingress,
                                  .from = arrival.position,
                                  .timestamp = arrival.timestamp,
                                  .payload = arrival.payload};
        if (side_.refill(message) == shm::RefillStatus::done) return true;
        wants_room_ = true;
    }
    return append(arrival);
}

bool QueueJournal::append(const shm::Arrival& arrival) {
    const std::uint64_t lsn = writer_->append({.position = arrival.position,
                                               .sequence = arrival.position,
                                               .timestamp_ns = to_realtime(arrival.timestamp),
                                               .payload = arrival.payload});
    if (lsn == 0) return false;
    appended_.push_back({arrival.position, lsn});
    if (durable()) unsettled_.add(lsn, lsn);
    last_message_ = lsn;
    ++spilled_;
    spilled_bytes_ += arrival.payload.size();
    tell_backlog();
    return true;
}

void QueueJournal::tell_backlog() {
    segment_.header().journal.backlog.store(spilled_, std::memory_order_release);
}

std::uint64_t QueueJournal::to_realtime(std::uint64_t monotonic) const {
    return monotonic + static_cast<std::uint64_t>(wall_clock_ahead_);
}

std::uint64_t QueueJournal::to_monotonic(std::uint64_t realtime) const {
    const auto ahead = static_cast<std::uint64_t>(wall_clock_ahead_);
    return realtime > ahead ? realtime - ahead : 1;
}

// ---- What is gone ------------------------------------------------------------------------------

void QueueJournal::settle_gone() {
    if (!durable()) return;
    while (!settling_.empty() && settling_.front().by <= writer_->safe())
        settling_.pop_front();
    std::vector<std::uint64_t> gone;
    side_.take_gone(gone);
    for (const std::uint64_t lsn : gone) {
        if (lsn == 0 || lsn >= writer_->next_lsn()) continue;  // a peer's bytes
        unsettled_.remove(lsn, lsn);
        to_note_.remove(lsn, lsn);
        to_settle_.add(lsn, lsn);
    }
    write_counts();
    // What may have been delivered, and what is gone. Where there is no room for the one, the mark
    // is missing after a loss of power until there is; for the other, see trim().
    write_ranges(to_note_, [this](std::uint64_t first, std::uint64_t count) {
        return writer_->append_front(first, count);
    });
    write_ranges(to_settle_, [this](std::uint64_t first, std::uint64_t count) {
        const std::uint64_t by = writer_->append_settled(first, count);
        if (by != 0) settling_.push_back({by, first, first + count - 1});
        return by;
    });
}

template <typename Append>
void QueueJournal::write_ranges(journal::RangeSet& ranges, Append append) {
    while (!ranges.empty() && !failed()) {
        const auto [first, last] = *ranges.ranges().begin();
        if (append(first, last - first + 1) == 0) return;
        ranges.remove(first, last);
    }
}

void QueueJournal::trim() {
    // Past a file's seal, too: the next message may wait for the room that this file takes.
    if (reader_->next() > side_.refilled()) side_.skip_to(reader_->next());
    std::uint64_t floor = side_.refilled();
    if (durable()) floor = unsettled_.empty() ? writer_->next_lsn() : unsettled_.lowest();
    // Without room every file counts.
    const bool at_once = log_is_empty() || writer_->state() == journal::Writer::State::no_room;
    const bool due =
        floor >= trimmed_ + trim_step || (at_once && floor != trimmed_) || !to_settle_.empty();
    if (!due) return;
    trimmed_ = floor;
    writer_->trim(floor);
    // A full log tells of its oldest messages by the floor alone.
    if (!to_settle_.empty() && to_settle_.lowest() < floor) to_settle_.remove(1, floor - 1);
}

void QueueJournal::change_limit(std::uint64_t bytes) {
    settings_.spill_limit = bytes;
    if (writer_ == nullptr) return;  // the one to come is made with it, if any comes
    writer_->change_space(bytes == 0 ? UINT64_MAX : bytes);
    work();
}

std::uint64_t QueueJournal::purge() {
    std::uint64_t dropped = 0;
    if (begun_) {
        dropped = spilled_;
        if (durable()) {
            journal::RangeSet gone = unsettled_;
            if (side_.refilled() > 1) gone.remove(1, side_.refilled() - 1);
            for (const auto& [first, last] : gone.ranges()) {
                unsettled_.remove(first, last);
                to_settle_.add(first, last);
            }
        }
        reader_->skip_to(last_message_ + 1);
        side_.skip_to(last_message_ + 1);
        spilled_ = spilled_bytes_ = 0;
        tell_backlog();
    }
    // What is not in the log yet is dropped where it stands, in its turn.
    shm::Arrival arrival;
    while (in_hand_ || side_.take(arrival)) {
        const std::uint64_t position = in_hand_ ? in_hand_->position : arrival.position;
        in_hand_.reset();
        if (appended_.empty()) {
            side_.free_through(position);
        } else {
            appended_.push_back({position, appended_.back().lsn});
        }
        ++dropped;
    }
    side_.count_purged(dropped);
    work();
    return dropped;
}

// ---- The gate ----------------------------------------------------------------------------------

void QueueJournal::go_direct() {
    if (durable() || in_hand_ || !appended_.empty() || !log_is_empty()) return;
    const Nanoseconds now = monotonic_now();
    const bool was_direct = std::exchange(direct_since_, 0) != 0;
    if (side_.gate() == shm::GateState::direct) {
        direct_since_ = now;
        return;
    }
    if (was_direct) {
        // Called back: soon after it went, or after a long time?
        const bool soon = now < close_not_before_ + 8 * close_pause_;
        close_pause_ =
            soon ? std::min(2 * close_pause_, close_pause_most_ns) : close_pause_least_ns;
        close_not_before_ = deadline_after(now, close_pause_);
    }
    if (now < close_not_before_) return;
    if (side_.try_direct()) {
        direct_since_ = close_not_before_ = now;
    }
}

// ---- Waiting -----------------------------------------------------------------------------------

void QueueJournal::sleep() {
    const Nanoseconds now = monotonic_now();
    const bool direct = side_.gate() == shm::GateState::direct;
    const bool idle = log_is_empty() && appended_.empty() && !in_hand_;
    side_.want_room(wants_room_ || side_.outstanding());
    side_.listen(true);
    Nanoseconds due = no_deadline;
    if (!idle || (!direct && !durable())) due = deadline_after(now, heartbeat_ns);
    if (idle && !direct && !durable()) due = std::min(due, std::max(now, close_not_before_));
    if (retry_at_ != 0) due = std::min(due, retry_at_);
    if (awaits_source_) due = std::min(due, deadline_after(now, source_poll_ns));
    if (due == no_deadline) return timers_.disarm(timer_);
    timers_.arm(timer_, due, [this] { work(); });
}

}  // namespace shmq::daemon

#include "step/journal.hpp"

#include <algorithm>
#include <cstring>

namespace shmq::step {

Journal::Journal(const shm::QueueView& view, Log& log, std::uint64_t room)
    : view_(view),
      log_(&log),
      side_(view),
      room_(room),
      durable_(view.geometry->has(shm::durable_log)) {}

// ---- After a predecessor -----------------------------------------------------------------------

// As QueueJournal's constructor and begin() do.
void Journal::take_over(bool all_came_there) {
    side_.recover();
    if (all_came_there) {
        log_->written = log_->appended.load();
    } else {
        log_->appended = log_->written.load();
    }
    log_->synced = log_->written.load();
    freed_ = log_->written;
    tell_backlog();
    if (freed_ != 0) side_.free_through(log_->at(freed_).position);
    needed_ = log_->first();
    if (!durable_) return;
    // Of what was put into the front ring, whatever is not there any more is gone.
    const std::vector<std::uint64_t> there = side_.in_front();
    for (std::uint64_t lsn = log_->first(); lsn < side_.refilled(); ++lsn) {
        if (std::find(there.begin(), there.end(), lsn) == there.end())
            tell_gone(lsn, Gone::found_by_successor);
    }
}

// ---- Work --------------------------------------------------------------------------------------

void Journal::work() {
    side_.listen(false);
    side_.want_room(false);
    do {
        while (step()) {
        }
        const bool idle = !durable_ && !in_hand_ && freed_ == log_->appended && log_is_empty();
        if (idle && !keeps_gate_) side_.try_direct();
        side_.want_room(wants_room_ || side_.outstanding());
        side_.listen(true);
    } while (!in_hand_ && side_.arrived());  // the look that counts
    if (side_.damaged()) broken_ = "the journal calls the queue damaged";
}

bool Journal::step() {
    bool moved = free_logged();
    moved = refill_from_log() || moved;
    moved = take_arrivals() || moved;
    settle_gone();
    return write() || moved;
}

// What is safe in the log leaves the ingress, and is confirmed.
bool Journal::free_logged() {
    const std::uint64_t safe = durable_ ? log_->synced : log_->written;
    const bool freed = safe > freed_;
    if (durable_ && log_->written > freed_) {
        side_.confirm(log_->at(log_->written).position + 1,
                      freed ? log_->at(safe).position + 1 : side_.oldest());
    }
    if (!freed) return false;
    side_.free_through(log_->at(safe).position);
    freed_ = safe;
    return true;
}

bool Journal::refill_from_log() {
    wants_room_ = false;
    bool moved = false;
    while (side_.refilled() <= log_->written) {
        const std::uint64_t lsn = side_.refilled();
        const LogRecord& record = log_->at(lsn);
        const auto status = side_.refill({.source = shm::RefillSource::log,
                                          .from = lsn,
                                          .lsn = lsn,
                                          .timestamp = 1,
                                          .payload = {record.payload, record.length}});
        if (status != shm::RefillStatus::done) {
            wants_room_ = true;
            break;
        }
        tell_backlog();
        moved = true;
    }
    return moved;
}

bool Journal::take_arrivals() {
    bool moved = false;
    for (;;) {
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

bool Journal::place(const shm::Arrival& arrival) {
    if (arrival.damaged) broken_ = "what arrived makes no sense";
    if (!durable_ && freed_ == log_->appended && log_is_empty()) {
        const auto status = side_.refill({.source = shm::RefillSource::ingress,
                                          .from = arrival.position,
                                          .timestamp = arrival.timestamp,
                                          .payload = arrival.payload});
        if (status == shm::RefillStatus::done) return true;
        wants_room_ = true;
    }
    return append(arrival);
}

// False: the disk is full.
bool Journal::append(const shm::Arrival& arrival) {
    const std::uint64_t lsn = log_->appended + 1;
    if (lsn - oldest_needed() >= room_ || arrival.payload.size() > record_bytes) return false;
    LogRecord& record = log_->at(lsn);
    record.position = arrival.position;
    record.length = static_cast<std::uint32_t>(arrival.payload.size());
    record.gone = Gone::no;
    std::memcpy(record.payload, arrival.payload.data(), arrival.payload.size());
    log_->appended = lsn;
    tell_backlog();
    return true;
}

std::uint64_t Journal::oldest_needed() {
    if (!durable_) return side_.refilled();
    while (needed_ <= log_->appended && log_->at(needed_).gone != Gone::no)
        ++needed_;
    return needed_;
}

void Journal::settle_gone() {
    if (!durable_) return;
    std::vector<std::uint64_t> gone;
    side_.take_gone(gone);
    for (const std::uint64_t lsn : gone)
        tell_gone(lsn, Gone::told);
}

void Journal::tell_gone(std::uint64_t lsn, Gone how) {
    const std::string name = "LSN " + std::to_string(lsn);
    if (lsn == 0 || lsn > log_->appended) {
        broken_ = name + " was told as gone, and never was";
    } else if (lsn >= log_->first()) {
        if (how == Gone::told && log_->at(lsn).gone == Gone::told)
            broken_ = name + " was told as gone twice";
        // Where its place says so still, a successor is told of it once more.
        if (how == Gone::told || log_->at(lsn).gone == Gone::no) log_->at(lsn).gone = how;
    }
}

// The disk's half: what was appended is written, then, where that matters, synced.
bool Journal::write() {
    if (log_->written != log_->appended) {
        log_->written = log_->appended.load();
        return true;
    }
    if (!durable_ || log_->synced == log_->written) return false;
    log_->synced = log_->written.load();
    return true;
}

void Journal::tell_backlog() {
    view_.header->journal.backlog.store(backlog(), shm::memory_order_release);
}

bool Journal::empty() const {
    return !in_hand_ && log_is_empty() && freed_ == log_->appended && !side_.arrived();
}

}  // namespace shmq::step

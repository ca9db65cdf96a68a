// The supervisor's side of a queue with a journal, as the daemon runs it; the log is a vector,
// which outlives the supervisor as a disk would.
#include <algorithm>
#include <cstring>

#include "schedule/rig.hpp"

namespace shmq::schedule {

using shm::GateState;
using shm::SlotState;
using shm::SlotWord;

// ---- Work --------------------------------------------------------------------------------------

// As a successor, too: of what was under way to the log, some came there.
void Rig::begin_journal() {
    logged_ += random_.below(static_cast<std::uint32_t>(log_.size() - logged_) + 1);
    log_.resize(logged_);
    side_ = std::make_unique<shm::JournalSide>(view_);
    side_->recover();
    if (logged_ != 0) side_->free_through(log_.back().position);
    if (!scenario_.durable()) return;
    // Of what was put into the front ring, whatever is not there any more is gone.
    const std::uint64_t refilled = side_->refilled();
    const std::vector<std::uint64_t> there = side_->in_front();
    for (std::uint64_t lsn = 1; lsn < refilled; ++lsn) {
        // One whose place says so still is told of once more.
        if (std::find(there.begin(), there.end(), lsn) != there.end()) continue;
        log_[lsn - 1].told = false;
        tell_gone(lsn);
        log_[lsn - 1].by_successor = true;
    }
}

// Until there is nothing to do; then those who bring something are told to ring. Whether anything
// was done.
bool Rig::work_on_journal() {
    bool worked = false;
    side_->listen(false);
    side_->want_room(false);
    for (;;) {
        wants_room_ = false;
        bool moved = false;
        while (journal_step())
            moved = true;
        worked = worked || moved;
        const bool idle = logged_ == log_.size() && side_->refilled() > log_.size();
        if (!scenario_.durable() && idle && closes_left_ != 0 &&
            side_->gate() != GateState::direct) {
            --closes_left_;
            side_->try_direct();
        }
        side_->want_room(wants_room_ || (scenario_.durable() && side_->outstanding()));
        side_->listen(true);
        // The look that counts.
        if (!journal_step()) break;
        worked = true;
        side_->listen(false);
        side_->want_room(false);
    }
    if (side_->damaged()) require("the journal's side holds the queue for damaged");
    return worked;
}

bool Rig::journal_step() {
    bool moved = false;
    if (logged_ < log_.size()) {
        moved = true;
        if (random_.one_in(2)) side_->free_through(log_[logged_++].position);
    }
    const std::uint64_t lsn = side_->refilled();
    if (lsn <= logged_) {
        const Logged& record = log_[lsn - 1];
        const bool done = side_->refill({.source = shm::RefillSource::log,
                                         .from = lsn,
                                         .lsn = lsn,
                                         .timestamp = 1,
                                         .payload = record.payload}) == shm::RefillStatus::done;
        moved = moved || done;
        wants_room_ = wants_room_ || !done;
    }
    shm::Arrival arrival;
    if (side_->take(arrival)) {
        moved = true;
        place_arrival(arrival);
    }
    std::vector<std::uint64_t> gone;
    side_->take_gone(gone);
    for (const std::uint64_t each : gone)
        tell_gone(each);
    return moved;
}

void Rig::place_arrival(const shm::Arrival& arrival) {
    if (arrival.damaged) return require("what arrived makes no sense");
    const bool log_is_empty = logged_ == log_.size() && side_->refilled() > log_.size();
    if (!scenario_.durable() && log_is_empty) {
        const auto status = side_->refill({.source = shm::RefillSource::ingress,
                                           .from = arrival.position,
                                           .timestamp = arrival.timestamp,
                                           .payload = arrival.payload});
        if (status == shm::RefillStatus::done) return;
        wants_room_ = true;
    }
    log_.push_back({{arrival.payload.begin(), arrival.payload.end()}, arrival.position});
}

void Rig::tell_gone(std::uint64_t lsn) {
    const std::string name = "LSN " + std::to_string(lsn);
    if (lsn == 0 || lsn > log_.size()) return require(name + " was told as gone, and never was");
    Logged& record = log_[lsn - 1];
    if (record.told && !record.by_successor) return require(name + " was told as gone twice");
    record.told = true;
    record.by_successor = false;
    MessageId id = 0;
    std::memcpy(&id, record.payload.data(), sizeof id);
    if (!books_.is_gone(id)) require(name + " was told as gone, but is there");
}

// At the end, the queue being empty.
void Rig::check_log() {
    if (side_->refilled() <= log_.size()) require("the log holds what never came");
    for (std::size_t i = 0; scenario_.durable() && i < log_.size(); ++i) {
        if (!log_[i].told) require("LSN " + std::to_string(i + 1) + " was never told as gone");
    }
}

// ---- What is seen ------------------------------------------------------------------------------

void Rig::watch_gate(const Party& party, const Step& step) {
    if (step.access != Access::swapped) return;
    const shm::GateWord from{step.before};
    const shm::GateWord to{step.after};
    const bool supervisor = party.actor.part == Part::supervisor;
    const bool producer = party.actor.part == Part::producer;
    if (to.epoch() != from.epoch() + 1) return require("the gate changed without a new epoch");
    if (scenario_.durable()) return require("the gate of a durable queue moved");
    if (producer && from.state() == GateState::direct && to.state() == GateState::journal) {
        reached(Race::gate_to_journal);
    } else if (supervisor && from.state() == GateState::journal &&
               to.state() == GateState::closing) {
        reached(Race::gate_to_closing);
    } else if (supervisor && from.state() == GateState::closing &&
               to.state() == GateState::direct) {
        reached(Race::gate_to_direct);
    } else if (from.state() == GateState::closing && to.state() == GateState::journal) {
        reached(producer ? Race::gate_called_back : Race::gate_given_up);
    } else {
        require("the gate moved in a way that is not its own");
    }
}

void Rig::watch_ingress(const Party& party, const Step& step) {
    if (step.access == Access::load || step.access == Access::refused) return;
    const SlotWord from{step.before};
    const SlotWord to{step.after};
    const bool supervisor = party.actor.part == Part::supervisor;
    const bool unclaimed = from.unclaimed() && to.lap() == from.lap();
    if (supervisor && unclaimed && to.state() == SlotState::closed) {
        const bool again = from.state() == SlotState::closed;
        return reached(again ? Race::ingress_closed_anew : Race::ingress_closed);
    }
    if (!supervisor && unclaimed && from.state() == SlotState::closed &&
        to == SlotWord::free(from.lap())) {
        return reached(Race::ingress_opened);
    }
    if (supervisor && from == SlotWord::ready(from.lap()) && to == from.freed()) {
        return reached(Race::ingress_freed);
    }
    const auto row = classify(party.actor, from, to);
    if (row == Row::publish && party.actor.part == Part::producer) {
        return reached(Race::ingress_sent);
    }
    if (row == Row::skip_by_producer) return reached(Race::ingress_skipped);
    const bool known = row == Row::claim || row == Row::give_up || row == Row::resend ||
                       row == Row::pass_over_skipped || row == Row::undo_writing ||
                       row == Row::undo_skipped;
    if (!known) require("a slot of the ingress changed in a way that is not its own");
}

}  // namespace shmq::schedule

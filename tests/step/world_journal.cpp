// A queue with a journal: its state before the operation, and the supervisor's part in a trial.
#include <sys/mman.h>

#include <new>
#include <stdexcept>

#include "shm/gate.hpp"
#include "step/world.hpp"

namespace shmq::step {
namespace {

constexpr std::uint64_t room_when_full = 4;  // records

Log& fresh_log() {
    static void* const page =
        ::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::bad_alloc();
    return *new (page) Log{};
}

}  // namespace

// ---- Before the operation ----------------------------------------------------------------------

// The ingress is a ring like the front one; where that is at the wrap of laps, it is near.
void World::begin_journal() {
    const bool edge = setting_.ring.first_lap == shm::lap_mask;
    const std::uint64_t lap = setting_.ring.first_lap;
    const std::uint64_t passed = edge ? ring_capacity - 2 : 0;
    for (std::uint64_t index = 0; index < view_.ingress.capacity(); ++index) {
        view_.ingress.slot(index).word.store(shm::SlotWord::free(lap + (index < passed)).raw);
    }
    const std::uint64_t position = lap * view_.ingress.capacity() + passed;
    view_.header->journal.ingress_head.store(position);
    view_.header->journal.ingress_tail.store(position);
    log_ = &fresh_log();
    journal_.emplace(view_, *log_, setting_.ring.disk_full ? room_when_full : log_records - 1);
    journal_->take_over(true);
    journal_->work();
}

// So that the gate has moved before, and the ingress has a slot that was closed: as many messages
// as the laps that the ring began earlier.
void World::go_through_journal() {
    const std::uint64_t count = laps_through_journal * ring_capacity;
    for (std::uint64_t i = 0; i <= ring_capacity; ++i)
        send(any_sender(), false);
    Party& party = any_receiver();
    while (receive(party))
        ack(party, party.held.size() - 1);
    come_and_go(static_cast<std::uint32_t>(count - ring_capacity - 1));
    check_journal();
}

void World::prepare_journal() {
    const RingState& ring = setting_.ring;
    const auto fill = [&](std::uint32_t messages) {
        for (std::uint32_t i = 0; i < messages; ++i)
            send(any_sender(), one_large());
    };
    late_ = ring.late;
    if (late_) {
        stopped_message_ = ledger_.announce(stopped_.number);
        say(stopped_, Verb::send, stopped_message_, false, false);
    }
    const bool backlog = ring.logged + ring.arrived != 0 || ring.disk_full;
    if (backlog) fill_up();
    fill(ring.logged);
    while (ring.disk_full && send(any_sender(), false)) {
    }
    away_ = true;
    fill(ring.arrived);
    if (ring.gate != RingState::Gate::found) {
        const shm::GateWord gate = shm::look_at_gate(*view_.header);
        if (gate.state() == shm::GateState::direct)
            shm::change_gate(*view_.header, gate, shm::GateState::journal);
    }
    for (std::uint32_t i = 0; i < ring.taken && receive(any_receiver()); ++i)
        ack(any_receiver(), any_receiver().held.size() - 1);
    away_ = false;
    if (ring.gate == RingState::Gate::closing) close_gate(false);
    if (ring.gate == RingState::Gate::called_back) close_gate(true);
    if (ring.gate != RingState::Gate::journal) return;
    journal_->keep_gate(true);
    come_and_go(1);
}

// As the supervisor does, but for the last step; `called_back`: a producer came, which has not
// opened the slot yet.
void World::close_gate(bool called_back) {
    shm::SegmentHeader& header = *view_.header;
    shm::change_gate(header, shm::look_at_gate(header), shm::GateState::closing);
    const shm::GateWord closing = shm::look_at_gate(header);
    for (std::uint64_t index = 0; index < view_.ingress.capacity(); ++index) {
        const shm::SlotWord word = view_.ingress.word_at(index);
        if (word.state() != shm::SlotState::closed) continue;
        view_.ingress.change(index, word, shm::SlotWord::closed(word.lap(), closing.mark()));
    }
    if (called_back) shm::change_gate(header, closing, shm::GateState::journal);
}

// ---- The supervisor ----------------------------------------------------------------------------

void World::take_over_journal() {
    const bool keeps_gate = setting_.ring.gate == RingState::Gate::journal;
    away_ = false;
    journal_.emplace(view_, *log_, setting_.ring.disk_full ? room_when_full : log_records - 1);
    journal_->keep_gate(keeps_gate);
    journal_->take_over(disk_keeps_all_);
    work_on_journal();
}

void World::work_on_journal() {
    if (!journal_ || away_) return;
    told_ = false;
    journal_->work();
    if (!journal_->broken().empty()) ledger_.breach(journal_->broken());
}

void World::work_as_supervisor() {
    if (!journal_) return;
    journal_->work();
    if (!journal_->broken().empty()) __builtin_trap();
}

bool World::supervisor_was_told(Party& party) {
    const bool told = party.sender ? party.sender->take_supervisor_needed()
                                   : party.receiver->take_supervisor_needed();
    if (!journal_ || party.among_dead) return false;
    told_ = told_ || told;
    if (!told_ || away_) return false;
    work_on_journal();
    return true;
}

// Who brings something while the supervisor listens has rung; so has who made room that it wants,
// unless he was stopped before: then it looks by itself some time.
void World::wake_supervisor(bool subject_is_stopped) {
    if (!journal_ || away_) return;
    const bool something = view_.header->journal.wants_room.load() == 2 || journal_->arrived();
    if (something && !told_ && !subject_is_stopped) {
        ledger_.breach("the supervisor sleeps on, though there is something for its journal");
    }
    if (told_ || subject_is_stopped) work_on_journal();
}

// It goes on where it stood: behind a refill that is under way, which consumers then go past.
void World::send_late() {
    late_ = false;
    shm::Cursor cursor;
    std::uint64_t position = 0;
    const bool claimed =
        view_.ring.claim(cursor, stopped_.number, position) == shm::ClaimStatus::claimed;
    if (claimed) {
        shm::SlotHeader& slot = view_.ring.slot(position);
        slot.sequence.store(position);
        slot.length.store(small_bytes);
        Ledger::write_payload(stopped_message_, view_.ring.payload(position), small_bytes);
        shm::bump(stopped_.sender->record().sent);
        if (!view_.ring.publish(position, stopped_.number)) ledger_.breach("nobody skipped it");
    }
    say(stopped_, Verb::send, stopped_message_, true, claimed);
}

// Until the ingress is full everybody goes on.
void World::go_on_without_supervisor() {
    if (late_) send_late();
    if (consumer_.there()) drain(consumer_);
    if (!producer_.there()) return;
    const std::uint64_t room_left = room(view_.ingress);
    for (std::uint64_t sent = 0; sent < room_left; ++sent) {
        if (!send(producer_, false)) {
            return ledger_.breach("a producer can send " + std::to_string(sent) +
                                  " where the ingress has room for " + std::to_string(room_left));
        }
    }
    if (consumer_.there()) drain(consumer_);
}

void World::end_journal() {
    work_on_journal();
    check_journal();
    if (!journal_->empty()) ledger_.breach("the journal is not empty at the end");
    if (view_.lsns == nullptr) {
        const bool direct = shm::gate_is_direct(*view_.header);
        const bool kept = setting_.ring.gate == RingState::Gate::journal;
        if (!direct && !kept) ledger_.breach("the gate is not direct at the end");
        return;
    }
    for (std::uint64_t lsn = log_->first(); lsn <= log_->appended; ++lsn) {
        if (log_->at(lsn).gone == Gone::no)
            ledger_.breach("LSN " + std::to_string(lsn) + " was never told as gone");
    }
}

// ---- What must hold ----------------------------------------------------------------------------

// What is confirmed is in the log; what the log calls gone was ended by somebody, or may have been.
void World::check_journal() {
    const shm::JournalArea& area = view_.header->journal;
    const auto confirmed = [&](const auto& word, std::uint64_t last, const char* what) {
        const std::uint64_t end = log_->at(last).position + 1;
        if (last != 0 && shm::after(word.load(), end))
            ledger_.breach(std::string("confirmed as ") + what + ", but is not in the log");
    };
    confirmed(area.logged, log_->written, "logged");
    confirmed(area.durable, log_->synced, "durable");
    if (view_.lsns == nullptr) return;
    for (std::uint64_t lsn = log_->first(); lsn <= log_->appended; ++lsn) {
        const LogRecord& record = log_->at(lsn);
        if (record.gone != Gone::no)
            ledger_.told_gone(ledger_.read_payload(record.payload, record.length));
    }
}

}  // namespace shmq::step

// What others do while the subject is dead or stopped, and how the books are closed.
#include "shm/audit.hpp"
#include "shm/wait.hpp"
#include "step/world.hpp"

namespace shmq::step {
namespace {

constexpr std::uint32_t messages_most = 1000;  // that one look at the queue can bring

}  // namespace

// ---- Calls -------------------------------------------------------------------------------------

void World::say(Party& party, Verb verb, MessageId id, bool returned, bool done) {
    ledger_.tell(party.name(), {verb, returned, done, id, 0, 0});
}

shm::SendStatus World::attempt(Party& party, MessageId id, bool large) {
    std::byte payload[large_bytes];
    Ledger::write_payload(id, payload, small_bytes);
    if (!large) return party.sender->try_send(payload, small_bytes, 1);
    const shm::BlockHandle block = party.sender->allocate(large_bytes);
    if (!block.valid()) return shm::SendStatus::full;
    Ledger::write_payload(id, party.sender->view().pool.data(block), large_bytes);
    const shm::SendStatus status = party.sender->try_send_block(block, large_bytes, 1);
    if (status != shm::SendStatus::sent) party.sender->release(block);
    return status;
}

bool World::send(Party& party, bool large, bool patient) {
    const MessageId id = ledger_.announce(party.name());
    say(party, Verb::send, id, false, false);
    auto status = attempt(party, id, large);
    const bool again = supervisor_was_told(party) && patient && status == shm::SendStatus::full;
    if (again) {
        status = attempt(party, id, large);
        supervisor_was_told(party);
    }
    say(party, Verb::send, id, true, status == shm::SendStatus::sent);
    return status == shm::SendStatus::sent;
}

bool World::receive(Party& party, bool patient) {
    Held held;
    bool received =
        party.receiver->try_receive(held.delivery, thorough_) == shm::ReceiveStatus::received;
    if (supervisor_was_told(party) && patient && !received) {
        received =
            party.receiver->try_receive(held.delivery, thorough_) == shm::ReceiveStatus::received;
        supervisor_was_told(party);
    }
    if (!received) return false;
    held.id = ledger_.read_payload(held.delivery.data, held.delivery.length);
    ledger_.tell(party.name(), {Verb::receive, true, true, held.id, held.delivery.lease.sequence,
                                held.delivery.deliveries});
    if (now_ < ledger_.due(held.id)) ledger_.breach("a message was delivered before it was due");
    if (dead_) check_history(party, held);
    party.held.push_back(held);
    return true;
}

void World::ack(Party& party, std::size_t which) {
    const Held held = party.held[which];
    party.held.erase(party.held.begin() + static_cast<std::ptrdiff_t>(which));
    say(party, Verb::ack, held.id, false, false);
    const bool done = party.receiver->ack(held.delivery) == shm::HoldStatus::done;
    say(party, Verb::ack, held.id, true, done);
    supervisor_was_told(party);
}

void World::nack(Party& party, std::size_t which) {
    Held held = party.held[which];
    party.held.erase(party.held.begin() + static_cast<std::ptrdiff_t>(which));
    say(party, Verb::nack, held.id, false, false);
    const bool done = party.receiver->nack(held.delivery) == shm::HoldStatus::done;
    say(party, Verb::nack, held.id, true, done);
    supervisor_was_told(party);
}

void World::ack_all(Party& party) {
    while (!party.held.empty())
        ack(party, party.held.size() - 1);
}

// ---- The daemon --------------------------------------------------------------------------------

void World::reclaim_subject(shm::Ending ending) {
    if (!subject_.there() || subject_gone_) return;
    const bool died = ending == shm::Ending::died;
    if (died) note_what_it_holds();
    supervise_->reclaim(subject_.number, ending);
    work_on_journal();
    if (died) {
        check_blame();
        supervise_->sweep(now_);
        bury();
    }
    replace_subject();
}

void World::subject_was_reclaimed() {
    if (subject_.there() && !subject_gone_) replace_subject();
}

// Numbers that nobody knows were given out by the predecessor, to whom it could not tell them.
void World::change_supervisor(bool take_over) {
    if (journal_) take_over_journal();
    supervise_.emplace(*segment_);
    if (dead_) dead_->supervise.emplace(*dead_->segment);
    if (!take_over) return;
    settle_moves();
    if (subject_dead_ && !subject_gone_) {
        supervise_->reclaim(subject_.number, shm::Ending::died);
        replace_subject();
    }
    reclaim_strangers();
    supervise_->sweep(now_);
    if (dead_) dead_->supervise->sweep(now_);
    check_blame();
    bury();
}

void World::reclaim_strangers() {
    for (std::uint16_t number = 1; number < segment_->geometry().shape.participants; ++number) {
        bool known = subject_.number == number && !subject_gone_;
        for (const Party* party : {&producer_, &consumer_, &holder_, &stopped_})
            known |= party->number == number;
        if (!known) supervise_->reclaim(number, shm::Ending::died);
    }
}

void World::replace_subject() {
    subject_gone_ = true;
    ledger_.leaves(subject_.number);
    if (subject_.role == shm::Role::producer && !producer_.there())
        producer_ = admit(shm::Role::producer);
    if (subject_.role == shm::Role::consumer && !consumer_.there())
        consumer_ = admit(shm::Role::consumer);
}

void World::hang_up_subject() {
    note_what_it_holds();
    supervise_->hang_up(subject_.number);
    // What an exclusive consumer has read stays with it.
    if (setting_.flags & shm::exclusive_consumer) in_hand_.reset();
    check_blame();
}

// A lease counts from when it was first seen.
void World::expire_leases() {
    supervise_->sweep(now_);
    let_leases_run_out();
    supervise_->sweep(now_);
}

void World::let_leases_run_out() {
    now_ += static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns) + 1;
}

// ---- The others --------------------------------------------------------------------------------

void World::hear(const Report& report) {
    for (; heard_ < report.count(); ++heard_)
        ledger_.tell(subject_.number, report.entry(heard_));
    told_ = told_ || report.rings() != heard_rings_;
    heard_rings_ = report.rings();
}

void World::drain(Party& party) {
    if (thorough_) work_on_journal();  // as it does now and then
    for (std::uint32_t count = 0; receive(party); ++count) {
        ack(party, party.held.size() - 1);
        if (count == messages_most) return ledger_.breach("receiving never ends");
    }
    const shm::StateCounts states = states_of(party);
    if (journal_ && !away_ && !party.among_dead && !journal_->empty()) {
        ledger_.breach("a consumer finds nothing, though the journal holds messages");
    }
    if (states.ready + states.returned != 0) {
        ledger_.breach("a consumer finds nothing, though " + std::to_string(states.ready) +
                       " are ready and " + std::to_string(states.returned) + " returned");
    }
}

// Slots that a producer can still claim: from the first position that is not passed, over what it
// may pass, to the first message of the lap before that nobody has taken.
std::uint64_t World::room(const shm::SlotRing& ring) const {
    std::optional<std::uint64_t> first;
    for (std::uint64_t index = 0; index < ring_capacity; ++index) {
        const shm::SlotWord word = ring.word_at(index);
        const std::uint64_t lap = word.lap() + (word.unclaimed() ? 0 : 1);
        const std::uint64_t position = lap * ring_capacity + index;
        // Laps wrap at 36 bits, and those of one ring lie close together.
        constexpr unsigned unused_bits = 64 - shm::lap_bits - 6;
        if (!first || static_cast<std::int64_t>((position - *first) << unused_bits) < 0)
            first = position;
    }
    std::uint64_t free = 0;
    for (std::uint64_t position = *first; position != *first + ring_capacity; ++position) {
        const shm::SlotWord word = ring.word_at(position);
        const bool old = shm::lap_difference(word.lap(), ring.lap_of(position)) < 0;
        if (word.state() == shm::SlotState::ready && old) break;
        free += word.unclaimed() ? 1u : 0u;
    }
    return free;
}

// All that room can be used, whoever is stopped where.
void World::fill_ring(Party& party) {
    if (journal_) {
        for (std::uint64_t i = 0; i < ring_capacity + 3; ++i)
            if (!send(party, false)) return ledger_.breach("a producer finds the journal full");
        return;
    }
    const std::uint64_t room_left = room(view_.ring);
    std::uint64_t sent = 0;
    while (sent < room_left && send(party, false))
        ++sent;
    if (sent < room_left) {
        ledger_.breach("a producer can send " + std::to_string(sent) + " where there is room for " +
                       std::to_string(room_left));
    }
}

void World::go_round(Party& producer, Party& consumer) {
    drain(consumer);
    for (std::uint64_t i = 0; i < ring_capacity + 3; ++i) {
        if (!send(producer, setting_.large && i % 4 == 0)) {
            return ledger_.breach("a producer finds no room, though the consumers go on");
        }
        if (i % 16 == 0) drain(consumer);
    }
    drain(consumer);
}

// A message that a stopped process has returned and not announced is found by a thorough look, as
// sleepers make now and then; any other by the first.
void World::others_go_on(bool subject_is_stopped) {
    in_hand_.reset();
    thorough_ = subject_is_stopped;
    wake_others(subject_is_stopped);
    if (journal_ && away_) {
        go_on_without_supervisor();
    } else if (producer_.there() && consumer_.there()) {
        go_round(producer_, consumer_);
    } else if (producer_.there()) {
        fill_ring(producer_);
    } else if (consumer_.there()) {
        drain(consumer_);
    }
    if (dead_) go_round(dead_->producer, dead_->consumer);
    if (journal_) check_journal();
    for (const shm::Segment* segment : segments()) {
        for (const std::string& violation : shm::audit(*segment, false))
            ledger_.breach("audit: " + violation);
    }
}

void World::feed_subject() {
    wake_supervisor(false);
    if (subject_.role == shm::Role::consumer) {
        send(producer_, false);
    } else {
        take_and_ack();
    }
}

bool World::take_and_ack(bool patient) {
    if (!receive(consumer_, patient)) return false;
    ack(consumer_, consumer_.held.size() - 1);
    return true;
}

// ---- Sleepers ----------------------------------------------------------------------------------

void World::others_fall_asleep() {
    thorough_ = false;
    if (consumer_.there() && !items_ticket_) {
        const bool plain = (setting_.flags & shm::exclusive_producer) != 0;
        const shm::WaitTicket ticket = shm::register_waiter(view_.header->items, plain);
        if (take_and_ack()) {
            shm::leave_waiters(view_.header->items, ticket);
        } else {
            items_ticket_ = ticket;
        }
    }
    if (producer_.there() && !space_ticket_) {
        const bool plain = (setting_.flags & shm::exclusive_consumer) != 0;
        const shm::WaitTicket ticket = shm::register_waiter(view_.header->space, plain);
        if (send(producer_, false)) {
            shm::leave_waiters(view_.header->space, ticket);
        } else {
            space_ticket_ = ticket;
        }
    }
}

void World::wake_others(bool subject_is_stopped) {
    wake_supervisor(subject_is_stopped);
    if (items_ticket_) {
        const bool woken = view_.header->items.signal.load() != items_ticket_->signal;
        shm::leave_waiters(view_.header->items, *items_ticket_);
        items_ticket_.reset();
        const bool missed = take_and_ack(false);
        if (missed && !woken && !subject_is_stopped) {
            ledger_.breach("a consumer sleeps on, though there is a message for it");
        }
    }
    if (space_ticket_) {
        const bool woken = view_.header->space.signal.load() != space_ticket_->signal;
        shm::leave_waiters(view_.header->space, *space_ticket_);
        space_ticket_.reset();
        if (send(producer_, false, false) && !woken && !subject_is_stopped) {
            ledger_.breach("a producer sleeps on, though there is room for it");
        }
    }
}

// ---- The end -----------------------------------------------------------------------------------

void World::finish(bool counters_exact) {
    thorough_ = false;
    wake_others(false);
    finish_claim();
    if (late_) send_late();
    reclaim_subject(shm::Ending::detached);
    if (!consumer_.there()) consumer_ = admit(shm::Role::consumer);
    for (Party* party : {&consumer_, &holder_})
        ack_all(*party);
    if (!settle_books()) return;
    for (const auto* point : {&view_.header->items, &view_.header->space}) {
        if (shm::anybody_waits(*point)) ledger_.breach("somebody is counted as asleep at the end");
    }
    for (Party* party : {&producer_, &consumer_, &holder_, &stopped_}) {
        if (party->there()) supervise_->reclaim(party->number, shm::Ending::detached);
    }
    reclaim_strangers();
    if (journal_) end_journal();
    check_empty(*segment_, view_);
    if (dead_) check_moves();
    check_counters(counters_exact);
    const bool drops_failed = setting_.max_deliveries != 0 && !setting_.dead_letters;
    ledger_.close(purged_ || setting_.purges || drops_failed ||
                  setting_.overflow == shm::Overflow::drop_oldest);
    if (supervise_->damaged()) ledger_.breach("the supervisor calls the queue damaged");
}

void World::check_empty(const shm::Segment& segment, const shm::QueueView& view) {
    for (const std::string& violation : shm::audit(segment, true))
        ledger_.breach("audit: " + violation);
    for (std::uint64_t index = 0; index < ring_capacity; ++index) {
        if (view.ring.word_at(index).state() != shm::SlotState::free) {
            ledger_.breach("slot " + std::to_string(index) + " is not free at the end");
        }
    }
    for (std::uint64_t block = 0; block < view.pool.count(); ++block) {
        if (view.pool.word(block).state() != shm::BlockState::free) {
            ledger_.breach("block " + std::to_string(block) + " is not free at the end");
        }
    }
    for (std::uint32_t number = 1; number < segment.geometry().shape.participants; ++number) {
        if (view.participants[number].state.load() !=
            static_cast<std::uint32_t>(shm::ParticipantState::vacant)) {
            ledger_.breach("participant " + std::to_string(number) + " is not free at the end");
        }
    }
}

void World::check_counters(bool exact) {
    shm::TotalCounts totals = shm::count_totals(*segment_);
    if (dead_) {  // nothing but sends and ends happens there
        const shm::TotalCounts there = shm::count_totals(*dead_->segment);
        totals.sent += there.sent;
        totals.acked += there.acked;
    }
    const Ledger::Counts told = ledger_.counts();
    const auto check = [&](const char* what, std::uint64_t counted, std::uint64_t least,
                           std::uint64_t most) {
        if (counted >= least && counted <= most) return;
        ledger_.breach(std::string("counted ") + std::to_string(counted) + " " + what + "; were " +
                       std::to_string(least) +
                       (most == least ? "" : " to " + std::to_string(most)));
    };
    check("sent", totals.sent, told.sent, told.sent + told.maybe_sent);
    check("acked", totals.acked, told.acked, told.acked + told.maybe_acked);
    check("dropped and purged",
          totals.dropped_oldest + totals.dropped_rejected + totals.dropped_failed +
              totals.dropped_damaged + totals.purged,
          told.vanished, told.vanished + told.maybe_vanished);
    if (!exact) return;
    check("nacked", totals.nacked, told.nacked, told.nacked + told.maybe_nacked);
    check("extended", totals.extended, told.extended, told.extended);
    check("rejected", totals.rejected, told.rejected, told.rejected);
}

}  // namespace shmq::step

// What becomes of messages that fail: whom a death blames, the dead-letter queue, and the wait for
// what is delayed.
#include <algorithm>
#include <cstring>

#include "shm/audit.hpp"
#include "shm/move.hpp"
#include "step/world.hpp"

namespace shmq::step {
namespace {

constexpr std::uint32_t rounds_most = 100;  // until all that waits for its time has come
constexpr const char* source_name = "source";

shm::DeadLetterRecord history_of(const shm::Segment& segment, const shm::QueueView& view,
                                 const shm::Doomed& doomed) {
    shm::DeadLetterRecord record{};
    record.magic = shm::dead_letter_magic;
    record.reason = static_cast<std::uint32_t>(doomed.cause.reason);
    record.sequence = doomed.sequence;
    record.deliveries = view.attempts_of(doomed.sequence).deliveries;
    std::memcpy(record.identity, segment.identity(), sizeof record.identity);
    std::strcpy(record.source, source_name);
    return record;
}

std::optional<shm::DeadLetterRecord> present_history(const shm::QueueView& view,
                                                     std::uint64_t sequence) {
    const std::uint32_t word = view.ring.slot(sequence).length.load();
    const shm::BlockHandle block = view.block_at(sequence);
    if ((word & shm::length_history) == 0 || !block.valid()) return std::nullopt;
    return shm::read_history(view.pool.data(block), word & shm::length_mask,
                             view.pool.block_bytes(block.block));
}

}  // namespace

std::vector<shm::Segment*> World::segments() const {
    std::vector<shm::Segment*> all{segment_};
    if (dead_) all.push_back(dead_->segment);
    return all;
}

shm::StateCounts World::states_of(const Party& party) const {
    return shm::count_states(party.among_dead ? *dead_->segment : *segment_);
}

std::vector<Held> World::messages(shm::SlotState state, bool among_dead) const {
    const shm::QueueView& view = among_dead ? dead_->view : view_;
    std::vector<Held> found;
    for (std::uint64_t index = 0; index < ring_capacity; ++index) {
        const shm::SlotWord word = view.ring.word_at(index);
        if (word.state() != state) continue;
        Held held;
        held.delivery.lease = {view.ring.slot(index).sequence.load(), word};
        const shm::BlockHandle block = view.block_at(index);
        const std::byte* data = block.valid() ? view.pool.data(block) : view.ring.payload(index);
        std::memcpy(&held.id, data, sizeof held.id);
        found.push_back(held);
    }
    return found;
}

// ---- Whom a death blames -----------------------------------------------------------------------

void World::subject_dies() {
    subject_dead_ = true;
    note_what_it_holds();
}

void World::note_what_it_holds() {
    in_hand_.reset();
    if (subject_.role != shm::Role::consumer || !subject_.there() || subject_gone_) return;
    const shm::ParticipantRecord& record = view_.participants[subject_.number];
    const std::uint64_t read = record.read_position.load();
    in_hand_.emplace();
    died_receiving_ = ledger_.receiving(subject_.name());
    for (std::uint64_t index = 0; index < ring_capacity; ++index) {
        const shm::SlotWord word = view_.ring.word_at(index);
        const std::uint64_t sequence = view_.ring.slot(index).sequence.load();
        const bool leased =
            word.state() == shm::SlotState::leased && word.owner() == subject_.number;
        const bool was_read = subject_exclusive() && word.state() == shm::SlotState::ready &&
                              shm::after(read, sequence);
        if (!leased && !was_read) continue;
        const shm::Attempts before = view_.attempts_of(sequence);
        in_hand_->push_back({sequence, before, before.deliveries > 0 && before.tag == word.tag()});
    }
    std::sort(in_hand_->begin(), in_hand_->end(),
              [](const InHand& a, const InHand& b) { return shm::after(b.sequence, a.sequence); });
    const std::uint64_t handling = record.handling.load();
    said_in_hand_.reset();
    if (handling != 0) said_in_hand_ = handling - 1;
}

// Every message in its hands was delivered once more in vain, and one of them has failed: the one
// that it said, else the oldest; within a receive perhaps the one after that.
void World::check_blame() {
    if (!in_hand_) return;
    const std::vector<InHand> held = std::move(*in_hand_);
    in_hand_.reset();
    std::size_t expected = 0;
    bool said = false;
    for (std::size_t i = 0; said_in_hand_ && i < held.size(); ++i) {
        if (held[i].sequence != *said_in_hand_) continue;
        expected = i;
        said = true;
    }
    const bool may_err = !said && died_receiving_;
    std::uint32_t failures = 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
        const shm::Attempts after = view_.attempts_of(held[i].sequence);
        const std::string name = "message at " + std::to_string(held[i].sequence);
        if (after.deliveries != held[i].before.deliveries + (held[i].counted ? 0 : 1)) {
            ledger_.breach(name + ", held by the dead, has " + std::to_string(after.deliveries) +
                           " deliveries, and had " + std::to_string(held[i].before.deliveries));
        }
        const std::uint32_t risen = after.failures - held[i].before.failures;
        failures += risen;
        if (risen != 0 && i != expected && !(may_err && i == 1)) {
            ledger_.breach(name + " is blamed for a death, though it was not in hand");
        }
    }
    if (failures > 1) ledger_.breach("a death is blamed on more than one message");
    const bool all_new = std::none_of(held.begin(), held.end(),
                                      [](const InHand& message) { return message.counted; });
    if (failures == 0 && all_new && !held.empty()) {
        ledger_.breach("a death is blamed on no message");
    }
}

// ---- Dead letters ------------------------------------------------------------------------------

void World::prepare_dead() {
    shm::Segment& segment = fresh_dead_segment(setting_);
    dead_.emplace();
    dead_->segment = &segment;
    dead_->view = shm::QueueView(segment.ring_base(), segment.pool_base(), segment.geometry());
    dead_->supervise.emplace(segment);
    dead_->producer = admit(shm::Role::producer, true);
    dead_->consumer = admit(shm::Role::consumer, true);
    dead_->view.header->in_flight_cap.store(UINT32_MAX);
    ledger_.rejects_are_moved();
    for (int i = 0; setting_.ring.dead && i < 2; ++i)
        reject_one();
    if (setting_.ring.dead) {
        supervise_->sweep(now_);
        bury();
        for (const Held& held : messages(shm::SlotState::returned, true))
            ledger_.redrives(held.id);
    }
    if (!setting_.ring.dead_full) return;
    while (send(dead_->producer, false)) {
    }
    if (receive(dead_->consumer)) ack_all(dead_->consumer);
}

// As daemon/dead_letters.cpp does.
void World::bury() {
    if (!dead_) return;
    const auto doomed = supervise_->doomed();
    for (const auto& [index, one] : doomed) {
        const shm::DeadLetterRecord record = history_of(*segment_, view_, one);
        const shm::MoveStatus status =
            shm::Move(*supervise_, *dead_->supervise)
                .run(one.sequence, &record, shm::count_of(one.cause.reason));
        if (status == shm::MoveStatus::full) break;
        if (status != shm::MoveStatus::moved) ledger_.breach("a dead message could not be moved");
        supervise_->forget_doomed(index);
    }
}

void World::redrive() {
    shm::Move taking(*dead_->supervise, *dead_->supervise);
    for (const Held& held : messages(shm::SlotState::returned, true)) {
        const std::uint64_t sequence = held.delivery.lease.sequence;
        const bool unread_is_ours = (setting_.flags & shm::exclusive_consumer) == 0;
        if (!taking.take(sequence, unread_is_ours).empty()) continue;
        auto history = present_history(dead_->view, sequence);
        if (history) history->redriven += 1;
        const shm::MoveStatus status =
            shm::Move(*dead_->supervise, *supervise_)
                .run(sequence, history ? &*history : nullptr, shm::CountJournal::Drop::redriven);
        if (status != shm::MoveStatus::moved) taking.put_back(sequence);
    }
}

// As a new daemon does before anything else.
void World::settle_moves() {
    if (!dead_) return;
    for (shm::Supervise* target : {&*supervise_, &*dead_->supervise}) {
        for (const shm::Unfinished& move : target->unfinished()) {
            const bool from_here = std::memcmp(move.source_identity, segment_->identity(), 16) == 0;
            if (!move.source_known) ledger_.breach("nobody knows where a moved message comes from");
            const shm::Supervise& source = from_here ? *supervise_ : *dead_->supervise;
            target->settle(move, source.has(move.source_sequence));
        }
    }
}

// It goes wherever the message goes, where there are blocks.
void World::check_history(const Party& party, const Held& held) {
    if (!setting_.large) return;
    const shm::QueueView& view = party.among_dead ? dead_->view : view_;
    const bool was_dead = party.among_dead ? ledger_.sent_here(held.id) : ledger_.redriven(held.id);
    const auto history = present_history(view, held.delivery.lease.sequence);
    if (!was_dead) {
        if (history) ledger_.breach("a message has a history, and has none");
        return;
    }
    if (!history) return ledger_.breach("a dead message came without its history");
    const bool sound = history->deliveries >= 1 && history->reason != 0 &&
                       std::strcmp(history->source, source_name) == 0 &&
                       std::memcmp(history->identity, segment_->identity(), 16) == 0 &&
                       history->redriven == (party.among_dead ? 0 : 1);
    if (!sound) ledger_.breach("a dead message has another history than it had");
}

// Each message that was moved out was moved in, and both were counted once, whoever died.
void World::check_moves() {
    for (Party* party : {&dead_->producer, &dead_->consumer})
        dead_->supervise->reclaim(party->number, shm::Ending::detached);
    check_empty(*dead_->segment, dead_->view);
    const shm::TotalCounts here = shm::count_totals(*segment_);
    const shm::TotalCounts there = shm::count_totals(*dead_->segment);
    const std::uint64_t buried =
        here.dead_rejected + here.dead_expired + here.dead_crashed + here.dead_limit;
    if (buried != there.moved_in || there.redriven != here.moved_in) {
        ledger_.breach("counted " + std::to_string(buried) + " moved out and " +
                       std::to_string(there.moved_in) + " in, " + std::to_string(there.redriven) +
                       " redriven and " + std::to_string(here.moved_in) + " back");
    }
    if (dead_->supervise->damaged()) ledger_.breach("the supervisor calls the queue damaged");
}

// ---- Until all have come -----------------------------------------------------------------------

// As the daemon does: it sleeps until the supervisor says that something is due.
bool World::settle_books() {
    for (std::uint32_t round = 0; round < rounds_most; ++round) {
        supervise_->sweep(now_);
        if (dead_) dead_->supervise->sweep(now_);
        bury();
        drain(consumer_);
        if (dead_) drain(dead_->consumer);
        const shm::StateCounts states = shm::count_states(*segment_);
        if (states.deciding + states.delayed == 0) return true;
        const Nanoseconds due = supervise_->next_due();
        if (due != no_deadline) now_ = std::max(now_, due);
        // Once there is room among the dead letters, what was held goes there.
        if (due == no_deadline && round > 0) break;
    }
    ledger_.breach("a message waits in the supervisor's hands, and nobody knows for what");
    return false;
}

}  // namespace shmq::step

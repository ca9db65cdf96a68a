// What the tasks of a scenario do: the client's loops, without a client.
#include <cstring>

#include "schedule/rig.hpp"
#include "shm/audit.hpp"
#include "shm/move.hpp"

namespace shmq::schedule {
namespace {

constexpr std::size_t large_bytes = 600;
// So often a message is given back at most: runs have to end.
constexpr std::uint32_t deliveries_most = 4;

}  // namespace

// ---- Producers ---------------------------------------------------------------------------------

void Rig::produce(Party& party) {
    for (std::uint32_t i = 0; i < scenario_.sends; ++i) {
        if (scenario_.give_ups && party.random.one_in(3)) claim_and_give_up(party);
        send_one(party);
    }
    leave(party);
}

shm::SendStatus Rig::attempt(Party& party, MessageId id, shm::BlockHandle& block, bool large) {
    shm::SendSide& side = *party.sender;
    const auto ring = [&](shm::SendStatus status) {
        if (side.take_supervisor_needed()) work_ = true;
        return status;
    };
    if (!large) return ring(side.try_send(reinterpret_cast<const std::byte*>(&id), sizeof id, 1));
    if (!block.valid()) block = side.allocate(large_bytes);
    if (!block.valid()) return shm::SendStatus::full;
    std::byte* data = side.view().pool.data(block);
    std::memcpy(data, &id, sizeof id);
    std::memcpy(data + large_bytes - sizeof id, &id, sizeof id);
    return ring(side.try_send_block(block, large_bytes, 1));
}

void Rig::send_one(Party& party) {
    const bool large = scenario_.blocks && party.random.one_in(2);
    const MessageId id = books_.send_begins(party.actor.number, scheduler_->steps() + 2);
    shm::BlockHandle block;
    if (scenario_.sleeps) {
        shm::SendStatus status = attempt(party, id, block, large);
        Waiting waiting(segment_->header().space, true, scenario_.exclusive_consumers(),
                        no_deadline);
        while (status == shm::SendStatus::full) {
            if (scenario_.interrupts && party.random.one_in(2)) waiting.stop();
            waiting.until(
                no_deadline, 0,
                [&](bool) {
                    status = attempt(party, id, block, large);
                    return status != shm::SendStatus::full;
                },
                [&](unsigned run) { return party.sender->room_for(run); });
            if (waiting.slept()) party.sender->wake_space();
        }
    } else {
        for (;;) {
            const std::uint64_t mark = scheduler_->mark();
            if (attempt(party, id, block, large) == shm::SendStatus::sent) break;
            scheduler_->idle_since(mark);
        }
    }
    books_.send_returns(id, scheduler_->steps() + 2);
}

// As a batch does with the claims behind one that was skipped.
void Rig::claim_and_give_up(Party& party) {
    shm::Cursor cursor;
    cursor.next = view_.header->tail.load(std::memory_order_relaxed);
    std::uint64_t position = 0;
    if (view_.ring.claim(cursor, party.actor.number, position) != shm::ClaimStatus::claimed) return;
    scheduler_->breathe();
    view_.ring.abandon(position, party.actor.number);
    // The slot is free for the next lap: that is room, and somebody may be waiting for it.
    party.sender->wake_space();
}

// ---- Consumers ---------------------------------------------------------------------------------

void Rig::consume(Party& party) {
    std::uint32_t received = 0;
    for (;;) {
        const bool full = party.held.size() >= scenario_.batch;
        if (full || (!party.held.empty() && party.random.one_in(3))) {
            end_one(party);
        } else if (receive(party, party.held.empty())) {
            ++received;
        } else if (!party.held.empty()) {
            end_one(party);
        }
        if (scenario_.detaches && !party.stays && received >= scenario_.sends &&
            party.random.one_in(4)) {
            while (!party.held.empty())
                end_one(party);
            return leave(party);
        }
    }
}

bool Rig::receive(Party& party, bool wait) {
    shm::Delivery delivery;
    shm::ReceiveSide& side = *party.receiver;
    auto status = shm::ReceiveStatus::empty;
    // Before it waits, as a client does.
    const auto ring = [&] {
        if (side.take_supervisor_needed()) work_ = true;
    };
    if (!wait) {
        status = side.try_receive(delivery, true);
    } else if (scenario_.sets) {
        status = receive_by_set(party, delivery);
    } else if (scenario_.sleeps) {
        Waiting waiting(segment_->header().items, false, scenario_.exclusive_producers(),
                        no_deadline);
        if (scenario_.interrupts && party.random.one_in(2)) waiting.stop();
        waiting.until(
            no_deadline, 0,
            [&](bool thorough) {
                status = side.try_receive(delivery, thorough);
                ring();
                return status != shm::ReceiveStatus::empty;
            },
            [&](unsigned run) { return side.ready_ahead(run); });
        if (waiting.slept()) side.pass_wake_on();
    } else {
        const std::uint64_t mark = scheduler_->mark();
        status = side.try_receive(delivery, true);
        ring();
        if (status == shm::ReceiveStatus::empty) scheduler_->idle_since(mark);
    }
    ring();
    if (status != shm::ReceiveStatus::received) return false;
    take_in(party, delivery);
    return true;
}

// Sleeps as a set of one queue does, and takes after it was told.
shm::ReceiveStatus Rig::receive_by_set(Party& party, shm::Delivery& delivery) {
    shm::ReceiveSide& side = *party.receiver;
    ManyWaits waits;
    WaitPlace place;
    place.side = &side;
    place.plain_wakers = scenario_.exclusive_producers();
    place.look_again = no_deadline;
    const auto look = [&](WaitPlace& at, bool thorough) {
        at.status = at.side->look(thorough);
        if (at.side->take_supervisor_needed()) work_ = true;
    };
    if (scenario_.interrupts && party.random.one_in(2)) waits.stop();
    if (!ManyWaits::look_at_all({&place, 1}, false, look))
        waits.until({&place, 1}, no_deadline, look);
    if (!place.tells()) return shm::ReceiveStatus::empty;
    if (party.random.one_in(4)) scheduler_->breathe();
    return side.try_receive(delivery, true);
}

void Rig::take_in(Party& party, const shm::Delivery& delivery) {
    const auto id = read_id(delivery);
    // Bytes are the message's only if the lease still lasts when they have been read.
    // That answer is of a moment ago; the books want to know about this one.
    const bool held = party.receiver->held(delivery) && [&] {
        const Quiet quiet;
        return party.receiver->held(delivery);
    }();
    if (!held) {
        if (!scenario_.leases_end()) require("a lease ended although nobody ended it");
        party.held.push_back(delivery);
        party.held_ids.push_back(UINT32_MAX);
        return;
    }
    if (!id) return require("a message arrived with other bytes than were sent");
    require(books_.delivered(*id, delivery.lease.sequence, party.actor.number, delivery.deliveries,
                             !party.actor.exclusive));
    party.held.push_back(delivery);
    party.held_ids.push_back(*id);
}

std::optional<MessageId> Rig::read_id(const shm::Delivery& delivery) const {
    MessageId id = 0;
    std::memcpy(&id, delivery.data, sizeof id);
    if (delivery.length == sizeof id) return id;
    if (delivery.length != large_bytes) return {};
    MessageId end = 0;
    std::memcpy(&end, delivery.data + large_bytes - sizeof id, sizeof id);
    if (end != id) return {};
    return id;
}

// ---- Ending deliveries -------------------------------------------------------------------------

void Rig::end_one(Party& party) {
    const auto which = party.random.below(static_cast<std::uint32_t>(party.held.size()));
    const bool exclusive = party.actor.exclusive;
    if (exclusive && (scenario_.verbs & acks_through) != 0 && party.random.one_in(3)) {
        return ack_through(party);
    }
    if (party.random.one_in(2) && end_otherwise(party, which)) return;
    end_by_ack(party, which);
}

void Rig::end_by_ack(Party& party, std::size_t which) {
    const MessageId id = party.held_ids[which];
    if (party.receiver->ack(party.held[which]) == shm::HoldStatus::stale) {
        check_stale(party, Race::stale_ack);
    } else if (id == UINT32_MAX) {
        require("an ack was taken for a lease that had ended");
    } else {
        require(books_.ack_returned(id));
    }
    forget(party, which);
}

bool Rig::end_otherwise(Party& party, std::size_t which) {
    shm::Delivery& delivery = party.held[which];
    const MessageId id = party.held_ids[which];
    std::uint32_t allowed[4];
    std::uint32_t count = 0;
    for (const std::uint32_t verb : {nacks, rejects, extends, postpones}) {
        if ((scenario_.verbs & verb) != 0) allowed[count++] = verb;
    }
    if (count == 0) return false;
    switch (allowed[party.random.below(count)]) {
        case postpones:
            if (delivery.deliveries > deliveries_most) return false;
            if (party.receiver->nack(delivery, static_cast<std::uint64_t>(now_) + 1) ==
                shm::HoldStatus::stale) {
                check_stale(party, Race::stale_nack);
            }
            if (party.receiver->take_supervisor_needed()) work_ = true;
            forget(party, which);
            return true;
        case nacks:
            if (delivery.deliveries > deliveries_most) return false;
            if (party.receiver->nack(delivery) == shm::HoldStatus::stale) {
                check_stale(party, Race::stale_nack);
            }
            forget(party, which);
            return true;
        case rejects:
            if (id != UINT32_MAX) books_.rejected(id);
            if (party.receiver->reject(delivery) == shm::HoldStatus::stale) {
                check_stale(party, Race::stale_reject);
            }
            if (party.receiver->take_supervisor_needed()) work_ = true;
            forget(party, which);
            return true;
        default:
            if (party.receiver->extend(delivery, 0) == shm::HoldStatus::stale) {
                check_stale(party, Race::stale_extend);
            }
            return true;
    }
}

void Rig::ack_through(Party& party) {
    std::uint64_t last = party.held.front().lease.sequence;
    for (const auto& delivery : party.held) {
        if (party.random.one_in(2)) last = shm::later(last, delivery.lease.sequence);
    }
    party.receiver->ack_through(last);
    for (std::size_t i = party.held.size(); i-- > 0;) {
        if (shm::after(party.held[i].lease.sequence, last)) continue;
        const MessageId id = party.held_ids[i];
        if (party.receiver->ack(party.held[i]) == shm::HoldStatus::done) {
            require("ack_through left one behind");
        }
        // Where leases end, one message may be in hand twice, and only once to be acked.
        const bool ours = id != UINT32_MAX && books_.freed_by_ack(id) && !books_.is_acked(id);
        if (ours || !scenario_.leases_end()) require(books_.ack_returned(id));
        forget(party, i);
    }
}

void Rig::forget(Party& party, std::size_t which) {
    party.held.erase(party.held.begin() + static_cast<std::ptrdiff_t>(which));
    party.held_ids.erase(party.held_ids.begin() + static_cast<std::ptrdiff_t>(which));
}

void Rig::check_stale(const Party& party, Race race) {
    reached(race);
    if (!scenario_.leases_end() && !party.hung_up) {
        require(std::string(race_name(race)) + ", although nobody had ended the lease");
    }
}

void Rig::leave(Party& party) {
    party.done = true;
    if (scenario_.detaches) work_ = true;
}

// ---- The supervisor ----------------------------------------------------------------------------

void Rig::supervise(bool successor) {
    if (successor) {
        scheduler_->await(supervisor_died_);
        supervise_ = std::make_unique<shm::Supervise>(*segment_);
        if (scenario_.journal()) begin_journal();
        settle_moves();
        take_back_strangers();
        // The predecessor may have taken the work flag and died before it did the work.
        supervise_->sweep(now_);
        work_ = true;
    } else if (scenario_.journal()) {
        begin_journal();
        work_ = true;
    }
    for (;;) {
        const std::uint32_t more = sweeps_left_ + purges_left_ + hang_ups_left_ + moves_left_;
        if (more == 0 && !work_ && delayed_wait()) {
            // As the daemon, who wakes when they are due; no lease ends so soon.
            scheduler_->breathe();
            now_ += 2 * shm::note_grain_ns;
            supervise_->sweep(now_);
            continue;
        }
        if (more == 0) scheduler_->await(work_);
        work_ = false;
        take_back_the_dead();
        if (supervise_->take_work_flag()) supervise_->sweep(now_);
        if (scenario_.journal()) work_on_journal();
        if (more != 0) disturb_once();
    }
}

void Rig::take_back_the_dead() {
    bool any = false;
    // By index: newcomers lengthen the list meanwhile.
    for (std::size_t i = 0; i < parties_.size(); ++i) {
        Party& party = *parties_[i];
        const bool detached = scenario_.detaches && party.done && !last_phase_;
        if (!party.dead && !detached) continue;
        if (!party.vacated) {
            supervise_->reclaim(party.actor.number,
                                party.dead ? shm::Ending::died : shm::Ending::detached);
            party.vacated = true;
            any = true;
        }
        if (!party.replaced) replace(party);
        party.replaced = true;
    }
    // The daemon sweeps from time to time: somebody may have died after it left a message to us.
    if (any) supervise_->sweep(now_);
}

// A predecessor died after it had given out a number, and before anybody got to know it.
void Rig::take_back_strangers() {
    for (std::uint16_t number = 1; number < participants_most; ++number) {
        bool known = false;
        for (const auto& party : parties_)
            known |= party->actor.number == number && !party->vacated;
        if (!known) supervise_->reclaim(number, shm::Ending::died);
    }
}

// Somebody new comes, often under the old number: for each consumer, and for some producers.
void Rig::replace(const Party& old) {
    if (scenario_.newcomers == 0) return;
    if (old.actor.part == Part::producer && newcomers_left_ == 0) return;
    if (old.actor.part == Part::producer) --newcomers_left_;
    Party& party = admit(old.actor.part);
    party.stays = true;
    equip(party);
    spawn(party);
}

void Rig::disturb_once() {
    for (std::uint32_t pause = random_.below(24); pause > 0; --pause)
        scheduler_->breathe();
    if (moves_left_ != 0 && random_.one_in(2)) {
        --moves_left_;
        return move_one();
    }
    const std::uint32_t others = sweeps_left_ + purges_left_ + hang_ups_left_;
    if (others == 0) return;
    const std::uint32_t choice = random_.below(others);
    if (choice < sweeps_left_) {
        --sweeps_left_;
        now_ += static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns) + 1;
        supervise_->sweep(now_);
    } else if (choice < sweeps_left_ + purges_left_) {
        --purges_left_;
        supervise_->purge();
    } else {
        --hang_ups_left_;
        Party& party = *parties_[random_.below(static_cast<std::uint32_t>(parties_.size()))];
        if (party.dead || party.vacated) return;
        party.hung_up = true;
        supervise_->hang_up(party.actor.number);
    }
}

// To another slot of the same queue: the two ends of a move, in one segment. Only what was
// delivered before: its count of deliveries goes along.
void Rig::move_one() {
    shm::Move move(*supervise_, *supervise_);
    const std::uint64_t start = random_.below(static_cast<std::uint32_t>(scenario_.capacity));
    for (std::uint64_t i = 0; i < scenario_.capacity; ++i) {
        const std::uint64_t index = (start + i) % scenario_.capacity;
        std::uint64_t sequence = 0;
        {
            const Quiet quiet;
            if (view_.ring.word_at(index).state() != shm::SlotState::returned) continue;
            sequence = view_.ring.slot(index).sequence.load();
        }
        if (!move.take(sequence, !scenario_.exclusive_consumers()).empty()) continue;
        const auto status = move.run(sequence, nullptr, shm::CountJournal::Drop::redriven);
        if (status != shm::MoveStatus::moved) move.put_back(sequence);
        return;
    }
}

bool Rig::delayed_wait() const {
    if ((scenario_.verbs & postpones) == 0) return false;
    const Quiet quiet;
    return shm::count_states(*segment_).delayed != 0;
}

void Rig::settle_moves() {
    for (const shm::Unfinished& move : supervise_->unfinished()) {
        const bool has = move.source_known && supervise_->has(move.source_sequence);
        reached(has ? Race::move_undone : Race::move_finished);
        supervise_->settle(move, has);
    }
}

}  // namespace shmq::schedule

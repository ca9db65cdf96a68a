#include "step/operations.hpp"

#include <cstring>

#include "client/waiting.hpp"

namespace shmq::step {
namespace {

constexpr std::uint64_t time_sent = 7;
constexpr std::uint32_t batch = 3;

// The doorbell is the daemon's descriptor.
template <typename Side>
void ring_if_needed(Side& side, Report& report) {
    if (side.take_supervisor_needed()) report.ring();
}

// ---- Producers ---------------------------------------------------------------------------------

// As Producer::send does: at once where that goes, else with everything that may have to be done.
bool send_small(Party& self, MessageId id, bool wake_now) {
    std::byte payload[small_bytes];
    Ledger::write_payload(id, payload, sizeof payload);
    if (!self.sender->send_at_once(payload, sizeof payload, time_sent)) {
        return self.sender->try_send(payload, sizeof payload, time_sent, wake_now) ==
               shm::SendStatus::sent;
    }
    if (wake_now && self.sender->receivers_wait()) self.sender->wake_receivers(1);
    return true;
}

void run_send_inline(World&, Party& self, Report& report) {
    const MessageId id = self.to_send[0];
    report.begins(Verb::send, id);
    const bool sent = send_small(self, id, true);
    ring_if_needed(*self.sender, report);
    report.returns(Verb::send, id, sent);
}

void run_send_block(World& world, Party& self, Report& report) {
    const MessageId id = self.to_send[0];
    report.begins(Verb::send, id);
    bool sent = false;
    const shm::BlockHandle block = self.sender->allocate(large_bytes);
    if (block.valid()) {
        Ledger::write_payload(id, world.view().pool.data(block), large_bytes);
        sent = self.sender->try_send_block(block, large_bytes, time_sent) == shm::SendStatus::sent;
        ring_if_needed(*self.sender, report);
        if (!sent) self.sender->release(block);
    }
    report.returns(Verb::send, id, sent);
}

void run_send_loan_dropped(World& world, Party& self, Report&) {
    const shm::BlockHandle block = self.sender->allocate(large_bytes);
    if (!block.valid()) return;
    Ledger::write_payload(0, world.view().pool.data(block), large_bytes);
    self.sender->release(block);
}

void run_send_batch(World&, Party& self, Report& report) {
    std::uint32_t sent = 0;
    for (; sent < batch; ++sent) {
        report.begins(Verb::send, self.to_send[sent]);
        const bool done = send_small(self, self.to_send[sent], false);
        ring_if_needed(*self.sender, report);
        report.returns(Verb::send, self.to_send[sent], done);
        if (!done) break;
    }
    if (sent != 0) self.sender->wake_receivers(sent);
}

// Looks only; a few thousand instructions of it tell no more than one.
bool never_stands_back(unsigned) {
    return true;
}

void run_send_waiting(World& world, Party& self, Report& report) {
    const MessageId id = self.to_send[0];
    report.begins(Verb::send, id);
    Waiting waiting(world.view().header->space, true,
                    world.view().geometry->has(shm::exclusive_consumer), no_deadline);
    waiting.until(
        no_deadline, 0,
        [&](bool) {
            const bool sent = send_small(self, id, true);
            ring_if_needed(*self.sender, report);
            return sent;
        },
        never_stands_back);
    if (waiting.slept()) self.sender->wake_space();
    report.returns(Verb::send, id, true);
}

// Producer::send, then Producer::await_confirm.
void run_send_confirmed(World& world, Party& self, Report& report) {
    run_send_inline(world, self, report);
    shm::JournalArea& journal = world.view().header->journal;
    const std::uint64_t receipt = self.sender->ingress_position();
    Waiting waiting(journal.confirms, false, false, no_deadline);
    waiting.until(
        no_deadline, 0,
        [&](bool) { return !shm::after(receipt, journal.durable.load(shm::memory_order_acquire)); },
        never_stands_back);
}

// ---- Consumers ---------------------------------------------------------------------------------

void note_received(Party& self, Report& report, const shm::Delivery& delivery) {
    MessageId id = 0;
    std::memcpy(&id, delivery.data, sizeof id);
    self.held.push_back({delivery, id});
    // Bytes are the message's only if the lease still lasts when they have been read.
    if (!self.receiver->held(delivery)) return;
    report.received(id, delivery.lease.sequence, delivery.deliveries);
}

// As Consumer::receive does.
bool try_one(Party& self, Report& report) {
    shm::Delivery delivery;
    report.begins(Verb::receive, 0);
    if (!self.receiver->receive_at_once(delivery)) {
        const auto status = self.receiver->try_receive(delivery, true);
        ring_if_needed(*self.receiver, report);
        if (status != shm::ReceiveStatus::received) return false;
    }
    note_received(self, report, delivery);
    return true;
}

// As Message::ack does.
bool ack(shm::ReceiveSide& side, const shm::Delivery& delivery, bool wake_now) {
    if (delivery.block.valid() ||
        !side.ack_at_once(shm::slot_of_payload(delivery.data), delivery.lease)) {
        return side.ack(delivery, wake_now) == shm::HoldStatus::done;
    }
    if (side.acks_need_more(delivery.lease.sequence)) side.after_acks(wake_now);
    return true;
}

void ack_held(Party& self, Report& report, std::size_t which, bool wake_now) {
    const Held& held = self.held[which];
    report.begins(Verb::ack, held.id);
    const bool done = ack(*self.receiver, held.delivery, wake_now);
    ring_if_needed(*self.receiver, report);
    report.returns(Verb::ack, held.id, done);
}

void run_receive_one(World&, Party& self, Report& report) {
    try_one(self, report);
}

void run_receive_batch(World&, Party& self, Report& report) {
    for (std::uint32_t i = 0; i < batch && try_one(self, report); ++i) {
    }
    for (std::size_t i = 0; i < self.held.size(); ++i)
        ack_held(self, report, i, false);
    self.receiver->wake_space();
    ring_if_needed(*self.receiver, report);
}

void run_receive_waiting(World& world, Party& self, Report& report) {
    Waiting waiting(world.view().header->items, false,
                    world.view().geometry->has(shm::exclusive_producer), no_deadline);
    shm::Delivery delivery;
    report.begins(Verb::receive, 0);
    waiting.until(
        no_deadline, 0,
        [&](bool thorough) {
            const auto status = self.receiver->try_receive(delivery, thorough);
            ring_if_needed(*self.receiver, report);
            return status == shm::ReceiveStatus::received;
        },
        never_stands_back);
    if (waiting.slept()) self.receiver->pass_wake_on();
    note_received(self, report, delivery);
}

void run_ack_one(World&, Party& self, Report& report) {
    ack_held(self, report, 0, true);
}

void run_nack_one(World&, Party& self, Report& report) {
    Held& held = self.held[0];
    report.begins(Verb::nack, held.id);
    const bool done = self.receiver->nack(held.delivery) == shm::HoldStatus::done;
    ring_if_needed(*self.receiver, report);
    report.returns(Verb::nack, held.id, done);
}

void nack_until(Party& self, Report& report, std::uint64_t asked, Nanoseconds due) {
    Held& held = self.held[0];
    report.begins(Verb::nack, held.id);
    const bool done = self.receiver->nack(held.delivery, asked) == shm::HoldStatus::done;
    report.returns_until(Verb::nack, held.id, done, due);
}

void run_nack_delayed(World& world, Party& self, Report& report) {
    const Nanoseconds due = world.now() + nanoseconds_per_second;
    nack_until(self, report, static_cast<std::uint64_t>(due), due);
}

void run_nack_retried(World& world, Party& self, Report& report) {
    nack_until(self, report, 0, world.now() + world.setting().retry_delay);
}

void run_handle_second(World&, Party& self, Report& report) {
    const std::uint64_t second = self.held[1].delivery.lease.sequence;
    self.receiver->record().handling.store(second + 1, std::memory_order_relaxed);
    ack_held(self, report, 0, true);
}

void run_reject_one(World&, Party& self, Report& report) {
    Held& held = self.held[0];
    report.begins(Verb::reject, held.id);
    const bool done = self.receiver->reject(held.delivery) == shm::HoldStatus::done;
    ring_if_needed(*self.receiver, report);
    report.returns(Verb::reject, held.id, done);
}

void extend(World& world, Party& self, Report& report, Nanoseconds time) {
    Held& held = self.held[0];
    const auto deadline = static_cast<std::uint64_t>(time == 0 ? 0 : world.now() + time);
    report.begins(Verb::extend, held.id);
    const bool done = self.receiver->extend(held.delivery, deadline) == shm::HoldStatus::done;
    // An exclusive consumer's read has no lease to extend, and counts none.
    report.returns(Verb::extend, held.id, done && !held.delivery.unmarked());
    ack_held(self, report, 0, true);
}

void run_extend_one(World& world, Party& self, Report& report) {
    extend(world, self, report, 0);
}

void run_extend_to_deadline(World& world, Party& self, Report& report) {
    extend(world, self, report, nanoseconds_per_second);
}

void run_ack_through(World&, Party& self, Report& report) {
    for (const Held& held : self.held)
        report.begins(Verb::ack, held.id);
    std::uint64_t last = self.held[0].delivery.lease.sequence;
    for (const Held& held : self.held)
        last = shm::later(last, held.delivery.lease.sequence);
    const std::size_t acked = self.receiver->ack_through(last);
    ring_if_needed(*self.receiver, report);
    // Where leases have ended meanwhile, the call does not say which.
    if (acked != self.held.size()) return;
    for (const Held& held : self.held)
        report.returns(Verb::ack, held.id, true);
}

void run_leave_consumer(World&, Party& self, Report& report) {
    for (const Held& held : self.held)
        report.begins(Verb::nack, held.id);
    self.receiver->give_everything_back();
    ring_if_needed(*self.receiver, report);
}

// ---- Attach ------------------------------------------------------------------------------------

std::unique_ptr<shm::Segment> map_again(World& world, shm::Access access) {
    shm::AttachFailure failure;
    Fd pool;
    if (world.segment().pool_fd() >= 0) pool = Fd(::dup(world.segment().pool_fd()));
    return shm::Segment::attach(Fd(::dup(world.segment().ring_fd())), std::move(pool), access,
                                failure);
}

void run_attach_producer(World& world, Party& self, Report& report) {
    const auto segment = map_again(world, shm::Access::producer);
    if (segment == nullptr) __builtin_trap();
    const shm::QueueView view(segment->ring_base(), segment->pool_base(), segment->geometry());
    shm::SendSide side(view, self.number, !shm::register_for_barriers());
    std::byte payload[small_bytes];
    const MessageId id = self.to_send[0];
    Ledger::write_payload(id, payload, sizeof payload);
    report.begins(Verb::send, id);
    const bool sent = side.try_send(payload, sizeof payload, 0) == shm::SendStatus::sent;
    report.returns(Verb::send, id, sent);
}

void run_attach_consumer(World& world, Party& self, Report& report) {
    const auto segment = map_again(world, shm::Access::consumer);
    if (segment == nullptr) __builtin_trap();
    const shm::QueueView view(segment->ring_base(), segment->pool_base(), segment->geometry());
    self.receiver.emplace(view, self.number, 1024, !shm::register_for_barriers());
    try_one(self, report);
}

// ---- The supervisor ----------------------------------------------------------------------------

void run_reclaim_subject(World& world, Party& self, Report&) {
    world.supervise().reclaim(self.number, shm::Ending::died);
    world.supervise().sweep(world.now());
    world.bury();
    world.work_as_supervisor();
}

void run_admit_producer(World& world, Party&, Report&) {
    world.supervise().admit(shm::Role::producer, false, {1, 1}, world.now());
}

void run_admit_consumer(World& world, Party&, Report&) {
    world.supervise().admit(shm::Role::consumer, false, {1, 1}, world.now());
    world.supervise().share_in_flight(64);
}

// What has run out, is due, or was rejected.
void run_sweep(World& world, Party&, Report&) {
    world.supervise().sweep(world.now());
    world.bury();
    world.work_as_supervisor();
}

void run_journal_work(World& world, Party&, Report&) {
    world.work_as_supervisor();
}

void run_journal_take_over(World& world, Party&, Report&) {
    world.take_over_journal();
}

void run_redrive(World& world, Party&, Report&) {
    world.redrive();
}

// ---- By hand -----------------------------------------------------------------------------------

// What somebody holds, and what was delayed.
template <typename Act>
void for_each_held(World& world, Act act) {
    for (const Held& held : world.messages(shm::SlotState::leased))
        act(held);
}

void run_ack_by_hand(World& world, Party&, Report& report) {
    for_each_held(world, [&](const Held& held) {
        report.begins(Verb::ack, held.id);
        const bool done = world.supervise().ack_by_hand(held.delivery.lease.sequence).empty();
        report.returns(Verb::ack, held.id, done);
    });
}

void give_back_by_hand(World& world, Report& report, Nanoseconds due) {
    for_each_held(world, [&](const Held& held) {
        report.begins(Verb::give_back, held.id);
        const bool done =
            world.supervise().nack_by_hand(held.delivery.lease.sequence, due, world.now()).empty();
        report.returns_until(Verb::give_back, held.id, done, due);
    });
}

void run_nack_by_hand(World& world, Party&, Report& report) {
    give_back_by_hand(world, report, 0);
}

void run_delay_by_hand(World& world, Party&, Report& report) {
    give_back_by_hand(world, report, world.now() + 5 * nanoseconds_per_second);
}

void run_extend_by_hand(World& world, Party&, Report&) {
    for_each_held(world, [&](const Held& held) {
        world.supervise().extend_by_hand(held.delivery.lease.sequence,
                                         world.now() + nanoseconds_per_second, world.now());
    });
}

void run_release_by_hand(World& world, Party&, Report&) {
    world.supervise().release(world.holder().number);
}

// Of those that wait: one returned, one ready, and all that are delayed.
void run_discard_by_hand(World& world, Party&, Report& report) {
    const bool unread_is_ours = (world.setting().flags & shm::exclusive_consumer) == 0;
    for (const auto state :
         {shm::SlotState::returned, shm::SlotState::ready, shm::SlotState::leased}) {
        for (const Held& held : world.messages(state)) {
            report.begins(Verb::drop, held.id);
            const bool done =
                world.supervise().discard(held.delivery.lease.sequence, unread_is_ours).empty();
            report.returns(Verb::drop, held.id, done);
            if (state != shm::SlotState::leased) break;
        }
    }
}

void run_purge(World& world, Party&, Report&) {
    world.supervise().purge();
}

void run_hang_up(World& world, Party&, Report&) {
    world.supervise().hang_up(world.holder().number);
}

}  // namespace

using shm::Role;

const Operation send_inline{"send_inline", Role::producer, run_send_inline};
const Operation send_block{"send_block", Role::producer, run_send_block};
const Operation send_loan_dropped{"send_loan_dropped", Role::producer, run_send_loan_dropped};
const Operation send_batch{"send_batch", Role::producer, run_send_batch};
const Operation send_waiting{"send_waiting", Role::producer, run_send_waiting, 0, 0, true};
const Operation send_confirmed{"send_confirmed", Role::producer, run_send_confirmed, 0, 0, true};
const Operation receive_one{"receive", Role::consumer, run_receive_one};
const Operation receive_batch{"receive_batch", Role::consumer, run_receive_batch};
const Operation receive_waiting{"receive_waiting", Role::consumer, run_receive_waiting, 0, 0, true};
const Operation ack_one{"ack", Role::consumer, run_ack_one, 1};
const Operation nack_one{"nack", Role::consumer, run_nack_one, 1};
const Operation reject_one{"reject", Role::consumer, run_reject_one, 1};
const Operation extend_one{"extend", Role::consumer, run_extend_one, 1};
const Operation extend_to_deadline{"extend_deadline", Role::consumer, run_extend_to_deadline, 1};
const Operation ack_through{"ack_through", Role::consumer, run_ack_through, 3, 1};
const Operation nack_delayed{"nack_delayed", Role::consumer, run_nack_delayed, 1};
const Operation nack_retried{"nack_retried", Role::consumer, run_nack_retried, 1};
const Operation handle_second{"handle_second", Role::consumer, run_handle_second, 3};
const Operation nack_behind{"nack", Role::consumer, run_nack_one, 3};
const Operation reject_behind{"reject", Role::consumer, run_reject_one, 3};
const Operation leave_consumer{"leave", Role::consumer, run_leave_consumer, 3, 1};
const Operation attach_producer{
    "attach_producer", Role::producer, run_attach_producer, 0, 0, false, true};
const Operation attach_consumer{
    "attach_consumer", Role::consumer, run_attach_consumer, 0, 0, false, true};

const Operation reclaim_subject{"reclaim", Role::none, run_reclaim_subject};
const Operation admit_producer{"admit_producer", Role::none, run_admit_producer};
const Operation admit_consumer{"admit_consumer", Role::none, run_admit_consumer};
const Operation sweep_leases{"sweep", Role::none, run_sweep};
const Operation purge_queue{"purge", Role::none, run_purge};
const Operation hang_up_holder{"hang_up", Role::none, run_hang_up};
const Operation sweep_due{"sweep_due", Role::none, run_sweep};
const Operation journal_work{"journal_work", Role::none, run_journal_work};
const Operation journal_take_over{"journal_take_over", Role::none, run_journal_take_over};
const Operation redrive_dead{"redrive", Role::none, run_redrive};
const Operation ack_by_hand{"ack_by_hand", Role::none, run_ack_by_hand};
const Operation nack_by_hand{"nack_by_hand", Role::none, run_nack_by_hand};
const Operation delay_by_hand{"delay_by_hand", Role::none, run_delay_by_hand};
const Operation extend_by_hand{"extend_by_hand", Role::none, run_extend_by_hand};
const Operation release_by_hand{"release_by_hand", Role::none, run_release_by_hand};
const Operation discard_by_hand{"discard_by_hand", Role::none, run_discard_by_hand};

}  // namespace shmq::step

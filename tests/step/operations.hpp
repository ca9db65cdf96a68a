// What the subject does: each public operation on a queue, by the calls of shm/ that the library
// makes for it, telling the report before and after each call.
#pragma once

#include <cstdint>

#include "step/report.hpp"
#include "step/world.hpp"

namespace shmq::step {

struct Operation {
    const char* name;
    shm::Role role;
    void (*run)(World& world, Party& self, Report& report);
    std::uint32_t holds = 0;    // messages that it needs in hand
    std::uint32_t returns = 0;  // of these, redelivered ones
    bool sleeps = false;        // may sleep until it is fed
    bool maps = false;          // makes a mapping of its own, which a fork of it would not have
};

// send
extern const Operation send_inline, send_block, send_loan_dropped, send_batch, send_waiting,
    send_confirmed;
// receive and end
extern const Operation receive_one, receive_batch, receive_waiting, ack_one, nack_one, reject_one,
    extend_one, extend_to_deadline, ack_through, leave_consumer;
// by an exclusive consumer that has acked what lies behind
extern const Operation nack_delayed, nack_retried;
extern const Operation
    handle_second;  // says that it is busy with its second message, acks its first
extern const Operation nack_behind, reject_behind;
// attach: the mapping and the side's first look
extern const Operation attach_producer, attach_consumer;

// the supervisor (Role::none)
extern const Operation reclaim_subject;  // as the daemon does when a client has died
extern const Operation admit_producer, admit_consumer, sweep_leases, purge_queue, hang_up_holder;
extern const Operation sweep_due;  // of what was delayed
extern const Operation journal_work, journal_take_over;
extern const Operation redrive_dead;  // from the dead-letter queue
extern const Operation ack_by_hand, nack_by_hand, delay_by_hand, extend_by_hand, release_by_hand,
    discard_by_hand;

}  // namespace shmq::step

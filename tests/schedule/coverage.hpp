// Which rows of the transition table and which of the design's races have been reached, over all
// runs of this process; and the judgement whether a change of a slot's word is in the table at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shm/slot_word.hpp"

namespace shmq::schedule {

enum class Part : std::uint8_t { producer, consumer, supervisor };

// Who is making a change, as far as the table cares.
struct Actor {
    Part part = Part::supervisor;
    std::uint16_t number = 0;
    bool exclusive = false;  // holds its role alone
    bool drops = false;      // a producer that may drop the oldest
};

enum class Row : std::uint8_t {
    claim,
    publish,
    publish_by_store,
    give_up,
    skip,
    skip_by_producer,
    resend,
    undo_writing,
    undo_skipped,
    take,
    mark_read,
    take_to_drop,
    extend,
    ack,
    ack_by_store,
    nack,
    surrender,
    take_over,
    take_over_read,
    give_to_others,
    free_decided,
    redeliver,
    pass_over_leased,
    pass_over_returned,
    pass_over_skipped,
    claim_for_move,
    hold_moved,
    undo_move,
    take_by_hand,
    purge_ready,
    purge_returned,
    refill,
    rows
};

enum class Race : std::uint8_t {
    failed_publish,      // skipped while it wrote
    lost_claim,          // two producers, one free slot
    lost_take,           // two consumers, one ready slot
    bump_during_hold,    // a producer passed over the slot while its holder ended the lease
    leased_cell_passed,  // a look finds the cell of a return that is under way
    stale_cell_cleared,  // a look clears a cell that says nothing any more
    late_cell_refused,   // a returner that was overtaken, kept from its cell
    late_count_refused,  // the same for the counts
    stale_ack,
    stale_nack,
    stale_reject,
    stale_extend,
    block_freed_at_relook,  // the message came and went before its block was in_slot
    hand_over_too_late,     // ... and its consumer had freed the block, too
    struck_off,             // a sleeper's registration was ended by who woke it
    number_used_again,
    claim_skipped_when_dead,  // the supervisor finds a dead producer's claim skipped
    move_finished,            // by a successor: the source was free already
    move_undone,              // by a successor: the source still had it
    decision_taken_up,        // a supervisor ends what its predecessor began
    ingress_sent,             // the ingress ring and the gate of a queue with a journal
    ingress_freed,
    ingress_skipped,
    ingress_closed,
    ingress_closed_anew,
    ingress_opened,
    gate_to_journal,
    gate_to_closing,
    gate_to_direct,
    gate_called_back,  // by a producer
    gate_given_up,     // by the supervisor: something is in the ingress
    races
};

const char* row_name(Row row);
const char* race_name(Race race);

// The row that this change is, or nothing: then it is a bug.
std::optional<Row> classify(const Actor& actor, shm::SlotWord from, shm::SlotWord to);

void reached(Row row);
void reached(Race race);
std::uint64_t times(Row row);
std::uint64_t times(Race race);
std::string coverage_table();

}  // namespace shmq::schedule

// Moves one message from a queue to another, so that a supervisor killed anywhere in between
// neither loses nor doubles it. Both are the supervisor's, in one thread.
//
//   1. target: block filled, slot claimed and filled (writing), marked with where the message comes
//      from, then held: leased(0), note `moving`
//   2. source: freed. This is the commit.
//   3. target: returned, to be delivered, with the redelivered mark
//
// A successor finds either a claim of number 0, which it frees; or a slot leased(0) whose note says
// `moving`: if the source still has the message, it frees the slot, else it goes on with 3
// (Supervise::unfinished, settle). It must ask before the source decides on anything.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/layout.hpp"
#include "shm/supervise.hpp"

namespace shmq::shm {

enum class MoveStatus {
    moved,
    full,       // no slot or no block is free in the target: try again
    closed,     // the target was removed, or is damaged
    too_large,  // the target cannot hold it, ever
    gone,       // it is not in the source's supervisor's hands
    damaged,    // its content makes no sense; it was dropped and counted
};

// The count of a source under which a message goes to the dead letters.
CountJournal::Drop count_of(DeadReason reason);

// A message on its way through a log, by itself.
struct Packed {
    std::vector<std::byte> bytes;  // as in a block: the message, and its history behind it
    std::uint32_t length = 0;      // of the message
    std::uint32_t marks = 0;       // length_history, length_redriven
    std::uint64_t timestamp = 0;
    std::uint32_t deliveries = 0;
};

class Move {
  public:
    // REQUIRES: where the target has an exclusive producer, none is attached; both pools are mapped
    // where there are any, and both views are fresh.
    Move(Supervise& source, Supervise& target) : source_(source), target_(target) {}

    // The message must be leased(0) in the source: doomed, or taken by take. It stays so unless it
    // was moved or dropped. `history` null: it has none. Where the target has no block that could
    // hold it beside the payload, the history stays behind; that it was redriven then is all that
    // is told. `count_as`: in the source, exact whoever dies.
    MoveStatus run(std::uint64_t sequence, const DeadLetterRecord* history,
                   CountJournal::Drop count_as);
    // The same for a target that takes what comes into its log first: a copy, and nothing is
    // changed. `moved` means packed. REQUIRES of the target only that its shape is known.
    MoveStatus pack(std::uint64_t sequence, const DeadLetterRecord* history, bool redriven,
                    Packed& packed);
    // Takes a message that waits in the source, by hand. What is wrong, or nothing.
    std::string take(std::uint64_t sequence, bool unread_is_ours);
    // Gives it back to its source.
    void put_back(std::uint64_t sequence);

  private:
    struct Content {
        const std::byte* payload = nullptr;
        std::uint32_t length = 0;
        std::uint64_t timestamp = 0;
        std::uint32_t deliveries = 0;
    };
    MoveStatus look(std::uint64_t sequence, const DeadLetterRecord*& history, bool redriven,
                    Content& content, std::uint32_t& marks);
    bool read_content(std::uint64_t index, Content& content) const;
    bool target_takes(std::uint64_t bytes) const;
    BlockHandle fill_block(const Content& content, const DeadLetterRecord* history);
    bool claim_and_hold(std::uint64_t sequence, const Content& content, std::uint32_t length_word,
                        BlockHandle block, std::uint64_t& position);
    void mark(std::uint64_t sequence, std::uint64_t position, std::uint32_t deliveries);

    Supervise& source_;
    Supervise& target_;
};

}  // namespace shmq::shm

// What the children of the demo do. Each connects by itself: handles do not survive fork.
#pragma once

#include <cstdint>
#include <string>

#include "input.hpp"
#include "ledger.hpp"

namespace demo {

struct Work {
    const Catalogue& input;
    Board& board;
    std::string socket;
    std::string queue;
};

// Sends the lines of the files it gets from the board. Returns an exit status.
int produce(const Work& work);

// Receives until the board says that nothing more will come. Writes each receipt to its ledger
// before it acks.
int consume(const Work& work, std::uint32_t number, Ledger& ledger);

}  // namespace demo

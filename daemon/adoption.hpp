// Taking over from a predecessor: its queues, its participants, its half-done work.
#pragma once

#include <string>

#include "daemon/catalogue.hpp"
#include "daemon/keeper/inherited.hpp"
#include "daemon/registry.hpp"
#include "daemon/roster.hpp"
#include "daemon/supervisor.hpp"

namespace shmq::daemon {

struct Adoption {
    std::size_t queues = 0;
    std::size_t incomplete = 0;  // whose memory was not kept: who uses one may bring it
    bool roster = false;         // its own was there
    std::string refusal;         // not empty: nothing was touched, and nobody may go on from here
};

// Who takes it.
struct Heirs {
    Catalogue& catalogue;
    Roster& roster;
    Registry& registry;
    Supervisor& supervisor;
};

// Takes what it understands out of `inherited`. A queue of another format is a refusal for all, for
// it could not be kept without being understood. What is damaged is logged, and let go of.
Adoption adopt(Inherited& inherited, Store& store, const Heirs& heirs);

}  // namespace shmq::daemon

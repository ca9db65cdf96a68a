// Goes with one subject through one operation, and at each instant tries what happens if it dies
// there, or is stopped there while others go on. tests/step/README.md says why that needs no fresh
// process for each death.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "step/scenarios.hpp"

namespace shmq::step {

// What befalls the subject at an instant.
enum class Fate : std::uint8_t {
    killed,               // and its death is noticed before anybody else does anything
    killed_unnoticed,     // others go on first
    killed_expired,       // others go on, and its leases run out, first
    killed_twice,         // so is the supervisor, at every change that it makes as it cleans up
    stopped,              // others go on, then it does
    stopped_expired,      // the same, and its leases run out meanwhile
    stopped_hung_up,      // the same, and its session is lost meanwhile
    stopped_as_we_sleep,  // others look, find nothing and sleep, then it goes on
    stopped_and_swept,   // its leases run out, and the supervisor is killed at every change that it
                         // makes as it takes them back; then it goes on
    stopped_and_killed,  // others go on, then it does, and is killed at the next change, or later
    fates
};
constexpr std::size_t fates = static_cast<std::size_t>(Fate::fates);
const char* fate_name(Fate fate);

struct Choice {
    std::uint64_t seed = 0;
    std::uint32_t one_in = 1;           // of all instants and fates
    std::optional<std::uint64_t> only;  // this instant
    std::optional<Fate> only_fate;
};

struct Explored {
    std::uint64_t instants = 0;  // instructions, or changes that others can see
    std::uint64_t trials = 0;
    std::uint64_t kills = 0;  // real ones, whose memory was compared
    std::string breach;       // empty: every promise was kept
};

Explored explore(const Scenario& scenario, const Choice& choice);

}  // namespace shmq::step

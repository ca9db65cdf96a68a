// What is explored: operation x state of the ring x sharing.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "step/operations.hpp"
#include "step/world.hpp"

namespace shmq::step {

struct Scenario {
    std::string name;
    const Operation* operation;
    Setting setting;
    // Instants are points where others can see a change, not instructions.
    bool changes_only = false;
};

inline void PrintTo(const Scenario& scenario, std::ostream* stream) {
    *stream << scenario.name;
}

const std::vector<Scenario>& scenarios();
const Scenario* find_scenario(const std::string& name);

}  // namespace shmq::step

// Which queues, tasks and misfortunes the schedule tests go through.
#pragma once

#include <vector>

#include "schedule/rig.hpp"

namespace shmq::schedule {

const std::vector<Scenario>& scenarios();
// Null if there is none of that name.
const Scenario* find_scenario(const std::string& name);

}  // namespace shmq::schedule

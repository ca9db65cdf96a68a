// What a queue is to be, from what its maker said: defaults, bounds, and what follows from what.
#pragma once

#include <optional>
#include <string>

#include "daemon/queue.hpp"
#include "daemon/rights.hpp"
#include "shm/layout.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

// With what is implied said as well.
wire::Options with_implied(wire::Options options);
// What is wrong with options; nothing: they can be had. REQUIRES: what is implied is said.
std::optional<wire::Failure> check_queue_options(const Caller& caller, const std::string& name,
                                                 const wire::Options& options);
// What the memory of such a queue does not say.
wire::Options beside_memory(const wire::Options& options);
// A shape as the options ask; what they leave open has its default.
shm::Shape shape_of(const wire::Options& options);
shm::Policy policy_of(const std::string& name, const wire::Options& options);
// The first option said in `wanted` that the queue has otherwise.
std::optional<wire::Failure> first_difference(const Queue& queue, const wire::Options& wanted);

}  // namespace shmq::daemon

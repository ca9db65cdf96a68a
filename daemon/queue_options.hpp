// What a queue is to be, from what its maker said: defaults, bounds, and what follows from what.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
// Options said in `wanted` that the queue has otherwise, as text.
struct Difference {
    std::string_view option;
    std::string present;
    std::string wanted;
};
std::vector<Difference> differences(const Queue& queue, const wire::Options& wanted);
// The first of them.
std::optional<wire::Failure> first_difference(const Queue& queue, const wire::Options& wanted);

// What `said` leaves open as `beneath` has it.
wire::Options overlaid(const wire::Options& said, const wire::Options& beneath);
// Why that option of that queue cannot become `wanted` while it exists, and what to do; empty: it
// can.
std::string why_fixed(const Queue& queue, std::string_view option, const wire::Options& wanted);
// As if that option had not been said.
void leave_out(wire::Options& options, std::string_view option);
// Whether options are of the same memory: all that cannot change is the same.
bool same_memory(const wire::Options& one, const wire::Options& other);

}  // namespace shmq::daemon

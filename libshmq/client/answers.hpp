// Between the protocol's values and the public ones: options, queues, errors.
#pragma once

#include <string>
#include <string_view>

#include <shmq/error.hpp>
#include <shmq/queue.hpp>

#include "wire/control.hpp"

namespace shmq {

// Only what differs from the defaults travels: that is what a declaration compares.
// Condition::invalid_argument for what the protocol cannot say (a negative lease).
Result<wire::Options> options_to_wire(const QueueOptions& options);
QueueInfo info_from_wire(const wire::Queue& queue);

// What was asked, for error texts.
struct Asked {
    std::string_view method;
    std::string_view queue;   // empty where the call is about none
    std::string_view socket;  // of the daemon that answered
};

// An error of the daemon as ours: what happened, to which queue, because of whom, and what to do.
Error error_from_wire(const wire::Answer& answer, const Asked& asked);
// An answer that does not say what it must.
Error bad_answer(const Asked& asked, std::string_view problem);
Error bad_answer(const Asked& asked, const wire::Failure& failure);

}  // namespace shmq

// A read-only look into a queue's memory: nothing is taken, counted or moved by it.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>

#include <shmq/client.hpp>

#include "cli/command.hpp"
#include "client/session.hpp"
#include "shm/audit.hpp"

namespace shmq::cli {

class Observation {
  public:
    // Takes the right to consume or to manage.
    Observation(const Context& context, std::string_view name);

    const shm::Segment& segment() const { return *attachment_.segment; }

  private:
    Client client_;
    Attachment attachment_;
};

// How long ago, on the clock of the messages' time stamps.
std::chrono::nanoseconds age_of(std::uint64_t timestamp_ns);

}  // namespace shmq::cli

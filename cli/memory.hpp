// A queue's memory, read-only, for who must look into it when nothing else answers: through the
// daemon, or through the descriptors of any process that holds the queue (its keeper, a daemon that
// hangs, a client), by /proc. That takes the right to open them: being who made them, or root.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "shm/segment.hpp"

namespace shmq::cli {

struct Memory {
    std::string queue;
    std::string through;  // `daemon`, or `pid 123`
    std::unique_ptr<shm::Segment> segment;
    std::string problem;  // why there is no segment: what is there is none that we can read
};

// Of that queue, or of all where `queue` is empty. `pid`: through that process; else through the
// daemon, none is started. Failure where there is nobody to ask; it names processes that could be.
std::vector<Memory> open_memory(const Context& context, const std::string& queue,
                                std::optional<std::uint32_t> pid);

}  // namespace shmq::cli

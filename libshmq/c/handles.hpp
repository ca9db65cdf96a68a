// What stands behind the C API's opaque handles.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <shmq/shmq.h>
#include <shmq/client.hpp>

struct shmq_client {
    shmq::Client client;
};

// Counted by its handle and its loans, all of one thread: a loan may be freed after it.
struct shmq_producer {
    std::optional<shmq::Producer> producer;  // none once closed
    std::size_t holders = 1;
    std::vector<std::span<const std::byte>> payloads = {};  // scratch of send_batch
};

struct shmq_loan {
    shmq_producer* owner;
    shmq::Loan loan;
};

struct shmq_consumer {
    shmq::Consumer consumer;
    std::vector<shmq::Message> messages = {};  // scratch of the batches
    shmq_wait_set* set = nullptr;              // that it is in
};

namespace shmq::c {
// Of who is about to be closed.
void leave_set(shmq_consumer* consumer) noexcept;
}  // namespace shmq::c

struct shmq_message {
    std::optional<shmq::Message> held = std::nullopt;
};

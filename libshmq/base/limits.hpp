// Every maximum of shmq, with its unit and its relations to the others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.hpp"

namespace shmq::limits {

// Ring.
#ifdef SHMQ_SCHEDULED_ATOMIC
constexpr std::uint64_t capacity_min = 2;  // so that schedules of few steps go round the ring
#else
constexpr std::uint64_t capacity_min = 64;
#endif
constexpr std::uint64_t capacity_max = std::uint64_t{1} << 24;
constexpr std::uint64_t capacity_default = 1024;
// Slots of the ring in front of a journal: as many as the queue's own, at most these.
constexpr std::uint64_t ingress_capacity_max = 4096;
constexpr std::uint32_t slot_size_min_bytes = 64;
constexpr std::uint32_t slot_size_max_bytes = 512;
constexpr std::uint32_t slot_size_default_bytes = 64;

// Messages and their blocks.
constexpr std::uint64_t message_max_bytes = std::uint64_t{512} << 20;
constexpr std::uint64_t message_default_max_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t block_min_bytes = 1024;
constexpr std::uint32_t size_classes_max = 11;  // 1 KiB * 4^10 = 1 GiB
constexpr std::uint64_t pool_default_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t pool_max_bytes = std::uint64_t{1} << 40;
constexpr std::uint64_t blocks_max = std::uint64_t{1} << 24;
static_assert((block_min_bytes << (2 * (size_classes_max - 1))) >= message_max_bytes);

// Participants of one queue: producers and consumers, not processes. Owner 0 is the supervisor.
constexpr std::uint32_t participants_max = 1024;
static_assert(participants_max < (1u << 16));

// Delivery.
constexpr Nanoseconds lease_default_ns = 30 * nanoseconds_per_second;
constexpr Nanoseconds lease_min_ns = 10 * nanoseconds_per_millisecond;
constexpr Nanoseconds lease_max_ns = 7LL * 24 * 3600 * nanoseconds_per_second;
constexpr Nanoseconds delay_max_ns = 30LL * 24 * 3600 * nanoseconds_per_second;
// Failed deliveries after which a message goes to the dead-letter queue.
constexpr std::uint32_t max_deliveries_default = 20;
constexpr std::uint32_t in_flight_default = 64;
constexpr std::uint32_t in_flight_max = 1u << 20;
// Deliveries and failures have 10 bits each beside the slot and stay at this once reached.
constexpr std::uint32_t deliveries_counted_max = 1023;

// Names.
constexpr std::size_t name_max_bytes = 255;
constexpr const char* dead_letter_suffix = ".dlq";  // of the queue that is made for dead letters

// Control plane.
constexpr std::size_t frame_max_bytes = std::size_t{1} << 20;
constexpr std::size_t frame_descriptors_max = 8;
constexpr Nanoseconds frame_time_max_ns = 10 * nanoseconds_per_second;  // a frame begun must end

// Journal. A file holds a message of any size: one that does not fit gets a larger file.
constexpr std::uint64_t journal_file_default_bytes = std::uint64_t{16} << 20;
constexpr std::uint64_t journal_file_min_bytes = 16384;
constexpr std::uint64_t journal_batch_max_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t journal_pending_max_bytes = 4 * journal_batch_max_bytes;
constexpr std::uint64_t journal_counts_max_bytes = 2048;
constexpr std::uint64_t spill_limit_min_bytes = std::uint64_t{1} << 20;  // and two messages

// Of one daemon: the names of what it leaves to its successor have an end (keeper/inherited.hpp).
constexpr std::size_t queues_max = 12'288;
// Per uid, unless the daemon is told otherwise.
constexpr std::uint32_t queues_per_uid_max = 16384;
constexpr std::uint32_t sessions_per_uid_max = 4096;
constexpr std::uint64_t memory_per_uid_max_bytes = std::uint64_t{1} << 42;

}  // namespace shmq::limits

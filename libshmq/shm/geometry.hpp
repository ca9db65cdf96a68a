// From a queue's shape to the place of everything in its segment. Daemon and client both compute
// it, so that no offset found in shared memory is ever believed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shm/layout.hpp"

namespace shmq::shm {

struct Geometry {
    Shape shape{};

    std::uint64_t index_mask = 0;  // capacity - 1
    std::uint32_t capacity_log2 = 0;
    std::uint32_t slot_size_log2 = 0;
    std::uint32_t inline_bytes = 0;  // payload that fits a slot

    std::uint64_t participants_offset = 0;
    std::uint64_t returned_offset = 0;
    std::uint64_t attempts_offset = 0;
    std::uint64_t notes_offset = 0;
    std::uint64_t failures_offset = 0;
    std::uint64_t lsns_offset = 0;  // durable queues
    std::uint64_t blocks_offset = 0;
    std::uint64_t slots_offset = 0;
    std::uint64_t ingress_offset = 0;
    std::uint32_t ingress_log2 = 0;  // of its slots, as many bytes each as the others
    std::uint64_t segment_bytes = 0;

    SizeClass classes[limits::size_classes_max]{};
    std::uint32_t class_count = 0;  // 0: every message fits its slot
    std::uint64_t block_count = 0;  // over all classes
    std::uint64_t pool_bytes = 0;   // size of the pool's memfd; 0: no pool

    // Of payload that one place holds.
    std::uint64_t largest_place() const {
        return class_count == 0 ? inline_bytes : classes[class_count - 1].block_bytes;
    }
    bool has(QueueFlag flag) const { return (shape.flags & flag) != 0; }
    // Of a class, the blocks from this one on are for what is on its way into the journal: else
    // messages that wait in the front ring could take all, and those that come would have no way.
    std::uint32_t first_journal_block(const SizeClass& size_class) const {
        return has(journal_present) ? (size_class.block_count + 1) / 2 : size_class.block_count;
    }
};

// What is wrong with a shape, as "capacity 100 is not a power of two (64 to 16777216)"; empty if
// nothing is.
std::string check_shape(const Shape& shape);

// The same for a policy.
std::string check_policy(const Policy& policy);

// Fills in defaults for fields that are zero (flags and overflow have none).
Shape with_defaults(Shape shape);

// The layout of a shape; nothing if check_shape objects.
std::optional<Geometry> plan(const Shape& shape);

}  // namespace shmq::shm

#include "shm/geometry.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace shmq::shm {
namespace {

constexpr std::uint64_t page_bytes = 4096;

std::uint64_t page_up(std::uint64_t bytes) {
    return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

std::string out_of_bounds(const char* what, std::uint64_t value, std::uint64_t least,
                          std::uint64_t most, const char* unit) {
    return std::string(what) + " " + std::to_string(value) + " is out of bounds (" +
           std::to_string(least) + " to " + std::to_string(most) + unit + ")";
}

std::uint64_t inline_bytes_of(const Shape& shape) {
    return shape.slot_size - sizeof(SlotHeader);
}

std::uint64_t largest_block_bytes(std::uint64_t max_message) {
    std::uint64_t bytes = limits::block_min_bytes;
    while (bytes < max_message)
        bytes *= 4;
    return bytes;
}

// Half of the pool for the largest class, half of what is left for the next: a small payload may
// take a large block when its own are used up, not the other way round.
void plan_blocks(Geometry& geometry) {
    const Shape& shape = geometry.shape;
    const std::uint64_t largest = largest_block_bytes(shape.max_message);
    const std::uint64_t useful = 2 * shape.capacity + shape.participants;
    std::uint64_t counts[limits::size_classes_max]{};
    std::uint32_t class_count = 0;
    for (auto bytes = limits::block_min_bytes; bytes <= largest; bytes *= 4)
        ++class_count;
    std::uint64_t left = shape.pool_bytes;
    auto bytes = largest;
    for (std::uint32_t i = class_count; i-- > 0; bytes /= 4) {
        const std::uint64_t budget = i == 0 ? left : left / 2;
        counts[i] = std::min(budget / bytes, useful);
        left -= counts[i] * bytes;
    }
    bytes = limits::block_min_bytes;
    for (std::uint32_t i = 0; i < class_count; ++i, bytes *= 4) {
        if (counts[i] == 0) continue;
        SizeClass& size_class = geometry.classes[geometry.class_count++];
        size_class = {bytes, geometry.pool_bytes, static_cast<std::uint32_t>(geometry.block_count),
                      static_cast<std::uint32_t>(counts[i])};
        geometry.pool_bytes = page_up(geometry.pool_bytes + counts[i] * bytes);
        geometry.block_count += counts[i];
    }
}

std::string check_pool(const Shape& shape) {
    if (shape.max_message <= inline_bytes_of(shape)) return {};
    const std::uint64_t least = 4 * largest_block_bytes(shape.max_message);
    if (shape.pool_bytes < least || shape.pool_bytes > limits::pool_max_bytes) {
        return out_of_bounds("pool", shape.pool_bytes, least, limits::pool_max_bytes,
                             " bytes for this max_message");
    }
    return {};
}

}  // namespace

std::string check_shape(const Shape& shape) {
    if (shape.capacity < limits::capacity_min || shape.capacity > limits::capacity_max) {
        return out_of_bounds("capacity", shape.capacity, limits::capacity_min, limits::capacity_max,
                             " slots");
    }
    if (!std::has_single_bit(shape.capacity)) {
        return "capacity " + std::to_string(shape.capacity) +
               " is not a power of two (the next is " +
               std::to_string(std::bit_ceil(shape.capacity)) + ")";
    }
    if (shape.slot_size < limits::slot_size_min_bytes ||
        shape.slot_size > limits::slot_size_max_bytes || !std::has_single_bit(shape.slot_size)) {
        return "slot_size " + std::to_string(shape.slot_size) + " is not 64, 128, 256 or 512";
    }
    if (shape.max_message == 0 || shape.max_message > limits::message_max_bytes) {
        return out_of_bounds("max_message", shape.max_message, 1, limits::message_max_bytes,
                             " bytes");
    }
    if (shape.lease_ns < static_cast<std::uint64_t>(limits::lease_min_ns) ||
        shape.lease_ns > static_cast<std::uint64_t>(limits::lease_max_ns)) {
        return out_of_bounds("lease", shape.lease_ns, limits::lease_min_ns, limits::lease_max_ns,
                             " ns");
    }
    if (shape.participants < 2 || shape.participants > limits::participants_max) {
        return out_of_bounds("participants", shape.participants, 2, limits::participants_max, "");
    }
    if (shape.overflow > static_cast<std::uint32_t>(Overflow::spill)) {
        return "overflow " + std::to_string(shape.overflow) + " is unknown";
    }
    constexpr std::uint32_t known = exclusive_producer | exclusive_consumer | exact_timestamps |
                                    journal_present | when_full_reject | durable_log | unsynced_log;
    if ((shape.flags & ~known) != 0) {
        return "flags " + std::to_string(shape.flags) + " are unknown";
    }
    const bool spills = shape.overflow == static_cast<std::uint32_t>(Overflow::spill);
    if (spills != ((shape.flags & journal_present) != 0) ||
        (!spills && (shape.flags & (when_full_reject | durable_log)) != 0)) {
        return "overflow and journal contradict each other: a queue has one if it spills";
    }
    if ((shape.flags & (durable_log | unsynced_log)) == unsynced_log) {
        return "only a durable log can be one that is never synced";
    }
    if (shape.overflow == static_cast<std::uint32_t>(Overflow::drop_oldest) &&
        (shape.flags & exclusive_consumer) != 0) {
        return "overflow drop-oldest and an exclusive consumer exclude each other: choose block or "
               "reject, or a shared consumer";
    }
    return check_pool(shape);
}

std::string check_policy(const Policy& policy) {
    const auto longest = static_cast<std::uint64_t>(limits::delay_max_ns);
    if (policy.retry_first_ns > longest || policy.retry_max_ns > longest) {
        return out_of_bounds("retry_delay", std::max(policy.retry_first_ns, policy.retry_max_ns), 0,
                             longest, " ns");
    }
    if (policy.retry_max_ns < policy.retry_first_ns) {
        return "retry_delay_max " + std::to_string(policy.retry_max_ns) +
               " ns is less than retry_delay " + std::to_string(policy.retry_first_ns) + " ns";
    }
    if (policy.max_deliveries > limits::deliveries_counted_max) {
        return out_of_bounds("max_deliveries", policy.max_deliveries, 0,
                             limits::deliveries_counted_max, ", 0: no limit");
    }
    if ((policy.flags & ~std::uint32_t{pause_stopped}) != 0) {
        return "flags " + std::to_string(policy.flags) + " are unknown";
    }
    if (std::memchr(policy.dead_letter, 0, sizeof policy.dead_letter) == nullptr) {
        return "dead_letter is a name without an end";
    }
    return {};
}

Shape with_defaults(Shape shape) {
    if (shape.capacity == 0) shape.capacity = limits::capacity_default;
    if (shape.slot_size == 0) shape.slot_size = limits::slot_size_default_bytes;
    if (shape.max_message == 0) shape.max_message = limits::message_default_max_bytes;
    if (shape.lease_ns == 0) shape.lease_ns = limits::lease_default_ns;
    if (shape.participants == 0) shape.participants = limits::participants_max;
    if (shape.pool_bytes == 0 && shape.max_message <= limits::message_max_bytes) {
        shape.pool_bytes =
            std::max(limits::pool_default_bytes, 4 * largest_block_bytes(shape.max_message));
    }
    return shape;
}

std::optional<Geometry> plan(const Shape& shape) {
    if (!check_shape(shape).empty()) return std::nullopt;
    Geometry geometry;
    geometry.shape = shape;
    geometry.index_mask = shape.capacity - 1;
    geometry.capacity_log2 = static_cast<std::uint32_t>(std::countr_zero(shape.capacity));
    geometry.slot_size_log2 = static_cast<std::uint32_t>(std::countr_zero(shape.slot_size));
    geometry.inline_bytes = static_cast<std::uint32_t>(inline_bytes_of(shape));
    if (shape.max_message > geometry.inline_bytes) plan_blocks(geometry);
    if (geometry.block_count > limits::blocks_max) return std::nullopt;

    std::uint64_t end = sizeof(SegmentHeader);
    const auto place = [&end](std::uint64_t bytes) {
        const std::uint64_t offset = end;
        end = page_up(end + bytes);
        return offset;
    };
    geometry.participants_offset = place(shape.participants * sizeof(ParticipantRecord));
    geometry.returned_offset = place(shape.capacity * sizeof(ReturnedCell));
    geometry.attempts_offset = place(shape.capacity * sizeof(SlotAttempts));
    geometry.notes_offset = place(shape.capacity * sizeof(SlotNote));
    geometry.failures_offset = place(shape.capacity * sizeof(SlotFirstFailure));
    if (geometry.has(durable_log)) {
        geometry.lsns_offset = place(shape.capacity * sizeof(SlotLsn));
    }
    geometry.blocks_offset = place(geometry.block_count * sizeof(BlockRecord));
    geometry.slots_offset = place(shape.capacity * shape.slot_size);
    if (geometry.has(journal_present)) {
        const std::uint64_t ingress = std::min(shape.capacity, limits::ingress_capacity_max);
        geometry.ingress_log2 = static_cast<std::uint32_t>(std::countr_zero(ingress));
        geometry.ingress_offset = place(ingress * shape.slot_size);
    }
    geometry.segment_bytes = end;
    return geometry;
}

}  // namespace shmq::shm

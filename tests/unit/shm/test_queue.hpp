// A queue in memory with whoever attaches to it, for the unit tests of shm/.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "shm/audit.hpp"
#include "shm/queue.hpp"
#include "shm/segment.hpp"
#include "shm/supervise.hpp"

namespace shmq::shm {

inline Shape small_shape(std::uint32_t flags = 0, Overflow overflow = Overflow::block) {
    Shape shape{};
    shape.capacity = 64;
    shape.slot_size = 64;
    shape.max_message = 4096;
    shape.pool_bytes = 64 << 10;
    shape.participants = 16;
    shape.lease_ns = 100 * static_cast<std::uint64_t>(nanoseconds_per_millisecond);
    shape.flags = flags;
    shape.overflow = static_cast<std::uint32_t>(overflow);
    return shape;
}

class TestQueue {
  public:
    explicit TestQueue(const Shape& shape = small_shape(), const Policy& policy = {})
        : segment_(make(shape, policy)), supervise_(*segment_) {
        segment_->header().in_flight_cap.store(1u << 20);
    }

    Segment& segment() { return *segment_; }
    SegmentHeader& header() { return segment_->header(); }
    Supervise& supervise() { return supervise_; }
    QueueView view() const {
        return {segment_->ring_base(), segment_->pool_base(), segment_->geometry()};
    }
    ParticipantRecord& record(std::uint16_t number) { return view().participants[number]; }

    std::uint16_t admit(Role role) {
        const Geometry& geometry = segment_->geometry();
        const bool exclusive = role == Role::producer ? geometry.has(exclusive_producer)
                                                      : geometry.has(exclusive_consumer);
        return supervise_.admit(role, exclusive, {1, 1}, 1);
    }
    SendSide producer() { return producer(admit(Role::producer)); }
    SendSide producer(std::uint16_t number) { return {view(), number, false}; }
    ReceiveSide consumer(std::uint32_t cap = 1u << 20) {
        return consumer(admit(Role::consumer), cap);
    }
    ReceiveSide consumer(std::uint16_t number, std::uint32_t cap) {
        return {view(), number, cap, false};
    }

    std::vector<std::string> violations(bool quiescent = true) const {
        return audit(*segment_, quiescent);
    }
    StateCounts counts() const { return count_states(*segment_); }
    TotalCounts totals() const { return count_totals(*segment_); }

  private:
    static std::unique_ptr<Segment> make(const Shape& shape, const Policy& policy) {
        AttachFailure failure;
        auto segment = Segment::create(shape, {7}, failure, policy);
        if (segment == nullptr || !segment->create_pool(failure)) {
            throw std::runtime_error(failure.detail);
        }
        return segment;
    }

    std::unique_ptr<Segment> segment_;
    Supervise supervise_;
};

// Sends a text, in a block where it does not fit its slot.
inline SendStatus send_text(SendSide& side, const std::string& text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    if (text.size() <= side.view().geometry->inline_bytes) {
        return side.try_send(data, text.size(), 1);
    }
    const BlockHandle block = side.allocate(text.size());
    if (!block.valid()) return SendStatus::full;
    std::memcpy(side.view().pool.data(block), data, text.size());
    const SendStatus status = side.try_send_block(block, text.size(), 1);
    if (status != SendStatus::sent) side.release(block);
    return status;
}

inline std::string text_of(const Delivery& delivery) {
    return {reinterpret_cast<const char*>(delivery.data), delivery.length};
}

// What the next delivery says; "" if there is none. It is acked.
inline std::string receive_text(ReceiveSide& side) {
    Delivery delivery;
    if (side.try_receive(delivery, true) != ReceiveStatus::received) return "";
    std::string text = text_of(delivery);
    side.ack(delivery);
    return text;
}

}  // namespace shmq::shm

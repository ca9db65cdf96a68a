// A mapped queue segment: the only mmap, the only Boost.Interprocess.
//
// The daemon creates segments (sealed memfds, mode 0600); everybody attaches by descriptor. The
// header is checked before first use and its shape is copied: after that nothing read from shared
// memory decides where we read or write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.hpp"
#include "shm/geometry.hpp"
#include "shm/layout.hpp"

namespace shmq::shm {

enum class AttachStatus {
    attached,
    not_ready,     // no ready word yet: try again
    incompatible,  // another version or fingerprint; `detail` names both
    corrupt,       // not a segment, or one whose header contradicts itself or its size
    no_memory,     // the system refused a mapping or a descriptor; `os_error` says why
};

enum class Access {
    supervisor,  // ring and pool writable
    producer,    // ring and pool writable
    consumer,    // ring writable, pool read-only
    observer,    // both read-only
};

struct AttachFailure {
    AttachStatus status = AttachStatus::attached;
    int os_error = 0;
    std::string detail;
};

class Segment {
  public:
    // An empty segment of that shape, ready, mapped for the supervisor. `identity` is 16 random
    // bytes. Null (failure filled) if the shape is bad or the system refuses.
    static std::unique_ptr<Segment> create(const Shape& shape, const std::uint8_t (&identity)[16],
                                           AttachFailure& failure, const Policy& policy = {});
    // Maps what a peer handed us. Checks seals, size, identity words and shape. `pool` may be
    // invalid: the pool is mapped later by attach_pool.
    static std::unique_ptr<Segment> attach(Fd ring, Fd pool, Access access, AttachFailure& failure);

    ~Segment();
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;

    // Makes the pool's memfd where there is none yet (supervisor only) and maps it. False: errno in
    // failure. Without need (every message fits its slot) does nothing and succeeds.
    bool create_pool(AttachFailure& failure);
    bool attach_pool(Fd pool, AttachFailure& failure);

    // Of a supervisor's: nobody has put anything into it yet, for the pool that it needs is made
    // before. A walk through it would find nothing, and make the kernel give it memory.
    bool untouched() const {
        return access_ == Access::supervisor && geometry_.pool_bytes != 0 && pool_base_ == nullptr;
    }

    const Geometry& geometry() const { return geometry_; }
    const Policy& policy() const { return policy_; }
    // Supervisor: from now on these hold instead of what the queue was made with.
    // REQUIRES: check_shape and check_policy have nothing against them; overflow block or reject
    // only where it was one of them.
    void change(std::uint64_t lease_ns, Overflow overflow, bool refuses, const Policy& policy);
    // 16 bytes, as they were when this was mapped.
    const std::uint8_t* identity() const { return identity_; }
    SegmentHeader& header() const { return *reinterpret_cast<SegmentHeader*>(ring_base_); }
    std::byte* ring_base() const { return ring_base_; }
    // Null until the pool is mapped. Writes through it fault when access is consumer or observer.
    std::byte* pool_base() const { return pool_base_; }
    Access access() const { return access_; }

    int ring_fd() const { return ring_fd_.get(); }
    int pool_fd() const { return pool_fd_.get(); }
    // A read-only descriptor for the same memory (for consumers and observers); invalid: errno.
    static Fd reopen_read_only(int fd);

  private:
    struct Mappings;  // the Boost.Interprocess regions
    Segment();

    std::unique_ptr<Mappings> mappings_;
    Fd ring_fd_;
    Fd pool_fd_;
    std::byte* ring_base_ = nullptr;
    std::byte* pool_base_ = nullptr;
    Geometry geometry_;
    Policy policy_{};
    std::uint8_t identity_[16]{};
    Access access_ = Access::observer;
};

}  // namespace shmq::shm

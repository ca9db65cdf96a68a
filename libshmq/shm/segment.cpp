#include "shm/segment.hpp"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "shm/gate.hpp"
#include "shm/wait.hpp"

namespace shmq::shm {
namespace {

namespace ipc = boost::interprocess;

constexpr int required_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// What mapped_region wants to be given: something with a mapping handle.
struct MappableFd {
    int fd;
    ipc::mapping_handle_t get_mapping_handle() const { return {fd, false}; }
};

AttachFailure failed(AttachStatus status, std::string detail, int os_error = 0) {
    return {status, os_error, std::move(detail)};
}

AttachFailure system_failure(const char* what) {
    const int error = errno;
    return failed(AttachStatus::no_memory, std::string(what) + ": " + std::strerror(error), error);
}

// A memfd of that size which nobody can resize, and no other user reopen: memfds are born 0777.
Fd create_memfd(const char* name, std::uint64_t bytes, AttachFailure& failure) {
    Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) {
        failure = system_failure("memfd_create");
        return {};
    }
    if (::fchmod(fd.get(), 0600) != 0 || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, required_seals) != 0) {
        failure = system_failure("sizing and sealing a segment");
        return {};
    }
    return fd;
}

// Maps all of `fd`. Not inherited by children of fork: they must not act as us.
bool map_fd(int fd, std::uint64_t bytes, bool writable, ipc::mapped_region& region,
            AttachFailure& failure) {
    try {
        region = ipc::mapped_region(MappableFd{fd}, writable ? ipc::read_write : ipc::read_only, 0,
                                    bytes);
    } catch (const ipc::interprocess_exception& exception) {
        failure =
            failed(AttachStatus::no_memory, std::string("mapping a segment: ") + exception.what(),
                   exception.get_native_error());
        return false;
    }
    ::madvise(region.get_address(), region.get_size(), MADV_DONTFORK);
    ::madvise(region.get_address(), region.get_size(), MADV_DONTDUMP);
    return true;
}

// Size and seals of a descriptor that a peer handed us: without the seals it could be truncated
// under our mapping.
bool check_descriptor(int fd, std::uint64_t expected_bytes, const char* what,
                      AttachFailure& failure) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        failure = system_failure(what);
        return false;
    }
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & required_seals) != required_seals) {
        failure = failed(AttachStatus::corrupt, std::string(what) + " is not a sealed memfd");
        return false;
    }
    if (expected_bytes != 0 && static_cast<std::uint64_t>(status.st_size) != expected_bytes) {
        failure = failed(AttachStatus::corrupt,
                         std::string(what) + " has " + std::to_string(status.st_size) +
                             " bytes, not " + std::to_string(expected_bytes));
        return false;
    }
    return true;
}

// Reads the header by pread, before anything is mapped by its say-so.
std::optional<Geometry> read_header(int fd, AttachFailure& failure) {
    struct {
        std::uint64_t magic;
        std::uint32_t version;
        std::uint32_t ready;
        std::uint64_t fingerprint;
        std::uint64_t segment_bytes;
        std::uint8_t identity[16];
        Shape shape;
    } start{};
    static_assert(sizeof(start) == 96);
    if (::pread(fd, &start, sizeof start, 0) != static_cast<ssize_t>(sizeof start)) {
        failure = failed(AttachStatus::corrupt, "the segment is smaller than its header");
        return std::nullopt;
    }
    if (start.magic == 0 || (start.magic == segment_magic && start.ready == 0)) {
        failure = failed(AttachStatus::not_ready, "the segment is not ready yet");
        return std::nullopt;
    }
    if (start.magic != segment_magic) {
        failure = failed(AttachStatus::corrupt, "the descriptor is not an shmq segment");
        return std::nullopt;
    }
    if (start.version != segment_version || start.fingerprint != segment_fingerprint) {
        failure =
            failed(AttachStatus::incompatible,
                   "the segment has format " + std::to_string(start.version) + "/" +
                       std::to_string(start.fingerprint) + ", this build knows " +
                       std::to_string(segment_version) + "/" + std::to_string(segment_fingerprint));
        return std::nullopt;
    }
    auto geometry = plan(start.shape);
    if (!geometry || geometry->segment_bytes != start.segment_bytes) {
        failure = failed(AttachStatus::corrupt, "the segment's header contradicts itself");
        return std::nullopt;
    }
    return geometry;
}

}  // namespace

struct Segment::Mappings {
    ipc::mapped_region ring;
    ipc::mapped_region pool;
};

Segment::Segment() : mappings_(std::make_unique<Mappings>()) {}
Segment::~Segment() = default;

std::unique_ptr<Segment> Segment::create(const Shape& shape, const std::uint8_t (&identity)[16],
                                         AttachFailure& failure, const Policy& policy) {
    const auto geometry = plan(shape);
    if (!geometry) {
        failure = failed(AttachStatus::corrupt, check_shape(shape));
        return nullptr;
    }
    Fd ring = create_memfd("shmq-ring", geometry->segment_bytes, failure);
    if (!ring) return nullptr;
    std::unique_ptr<Segment> segment(new Segment);
    if (!map_fd(ring.get(), geometry->segment_bytes, true, segment->mappings_->ring, failure)) {
        return nullptr;
    }
    segment->ring_fd_ = std::move(ring);
    segment->ring_base_ = static_cast<std::byte*>(segment->mappings_->ring.get_address());
    segment->geometry_ = *geometry;
    segment->access_ = Access::supervisor;

    // Zero bytes are right for everything but this.
    SegmentHeader& header = segment->header();
    header.magic = segment_magic;
    header.version = segment_version;
    header.fingerprint = segment_fingerprint;
    header.segment_bytes = geometry->segment_bytes;
    std::memcpy(header.identity, identity, sizeof header.identity);
    header.shape = shape;
    header.policy = policy;
    if ((shape.flags & durable_log) != 0) {
        header.gate.store(GateWord::make(1, GateState::journal).raw, memory_order_relaxed);
    }
    header.journal.refilled.store(1, memory_order_relaxed);  // the first LSN
    segment->change(shape.lease_ns, static_cast<Overflow>(shape.overflow),
                    (shape.flags & when_full_reject) != 0, policy);
    std::memcpy(segment->identity_, identity, sizeof identity);
    header.in_flight_cap.store(1, memory_order_relaxed);
    header.ready.store(1, memory_order_release);  // [9] last: before it, it is not a segment
    return segment;
}

std::unique_ptr<Segment> Segment::attach(Fd ring, Fd pool, Access access, AttachFailure& failure) {
    if (!ring) {
        failure = failed(AttachStatus::corrupt, "no descriptor of the ring segment came along");
        return nullptr;
    }
    if (!check_descriptor(ring.get(), 0, "the ring segment", failure)) return nullptr;
    const auto geometry = read_header(ring.get(), failure);
    if (!geometry) return nullptr;
    if (!check_descriptor(ring.get(), geometry->segment_bytes, "the ring segment", failure)) {
        return nullptr;
    }
    std::unique_ptr<Segment> segment(new Segment);
    if (!map_fd(ring.get(), geometry->segment_bytes, access != Access::observer,
                segment->mappings_->ring, failure)) {
        return nullptr;
    }
    segment->ring_fd_ = std::move(ring);
    segment->ring_base_ = static_cast<std::byte*>(segment->mappings_->ring.get_address());
    segment->geometry_ = *geometry;
    segment->access_ = access;
    // One copy, looked at once: a peer may write the other.
    segment->policy_ = segment->header().policy;
    std::memcpy(segment->identity_, segment->header().identity, sizeof segment->identity_);
    if (const std::string wrong = check_policy(segment->policy_); !wrong.empty()) {
        failure = failed(AttachStatus::corrupt, "the segment's policy: " + wrong);
        return nullptr;
    }
    if (pool && !segment->attach_pool(std::move(pool), failure)) return nullptr;
    return segment;
}

void Segment::change(std::uint64_t lease_ns, Overflow overflow, bool refuses,
                     const Policy& policy) {
    SHMQ_CHECK(access_ == Access::supervisor);
    geometry_.shape.lease_ns = lease_ns;
    geometry_.shape.overflow = static_cast<std::uint32_t>(overflow);
    geometry_.shape.flags &= ~std::uint32_t{when_full_reject};
    if (refuses) geometry_.shape.flags |= when_full_reject;
    policy_ = policy;
    std::uint32_t live = geometry_.shape.flags & when_full_reject;
    if (pool_base_ != nullptr) live |= pool_present;
    if (overflow == Overflow::reject) live |= overflow_reject;
    if (policy.retry_first_ns != 0) live |= retry_delayed;
    // Ours alone to write. Who sleeps for room may be refused from now on.
    header().live_flags.store(live, memory_order_seq_cst);
    wake_all(header().space);
}

bool Segment::create_pool(AttachFailure& failure) {
    if (geometry_.pool_bytes == 0 || pool_base_ != nullptr) return true;
    SHMQ_CHECK(access_ == Access::supervisor);
    Fd pool = create_memfd("shmq-pool", geometry_.pool_bytes, failure);
    if (!pool || !attach_pool(std::move(pool), failure)) return false;
    header().live_flags.fetch_or(pool_present, memory_order_release);
    return true;
}

bool Segment::attach_pool(Fd pool, AttachFailure& failure) {
    if (!check_descriptor(pool.get(), geometry_.pool_bytes, "the pool", failure)) return false;
    const bool writable = access_ == Access::supervisor || access_ == Access::producer;
    if (!map_fd(pool.get(), geometry_.pool_bytes, writable, mappings_->pool, failure)) return false;
    pool_fd_ = std::move(pool);
    pool_base_ = static_cast<std::byte*>(mappings_->pool.get_address());
    return true;
}

Fd Segment::reopen_read_only(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace shmq::shm

// One ring. Each operation is submitted as it starts: they are few and large, and the daemon's own
// loop need not know of a second ring but its eventfd.
//
// Large writes, and syncs, are done by the kernel's workers: the daemon goes on meanwhile, on
// another core. What is read from the page cache is copied at once, for it is looked at right
// after.
#include <liburing.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "daemon/journal/engine.hpp"

namespace shmq::journal {
namespace {

constexpr unsigned submissions_max = 256;
constexpr unsigned completions_max = 4096;
// A copy of so much is worth another core's while; less is done at once where it can be.
constexpr std::size_t handed_over_min_bytes = 64 * 1024;

class UringEngine final : public Engine {
  public:
    explicit UringEngine(Fd ready) : Engine(std::move(ready)) {}
    ~UringEngine() override {
        if (!made_) return;
        while (in_kernel_ != 0)
            collect(true);
        ::io_uring_queue_exit(&ring_);
    }

    // 0, or why not.
    int open() {
        io_uring_params params{};
        params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params.cq_entries = completions_max;
        const int result = ::io_uring_queue_init_params(submissions_max, &ring_, &params);
        if (result < 0) return -result;
        made_ = true;
        // Completions are never dropped, and what a submission points to may change after it.
        constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
        if ((params.features & needed) != needed) return ENOSYS;
        return -::io_uring_register_eventfd(&ring_, ready_.get());
    }

    const char* name() const override { return "io_uring"; }

  protected:
    void submit(std::unique_ptr<Operation> operation) override {
        io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
        SHMQ_CHECK(entry != nullptr);  // none is left behind by the calls before
        prepare(*entry, *operation);
        ::io_uring_sqe_set_data(entry, operation.release());
        ++in_kernel_;
        for (;;) {
            const int result = ::io_uring_submit(&ring_);
            if (result > 0) return;
            // No room for completions, or no memory just now.
            SHMQ_CHECK(result == -EBUSY || result == -EAGAIN || result == -EINTR || result == 0);
            collect(false);
            ::eventfd_write(ready_.get(), 1);  // for what was collected
            ::sched_yield();
        }
    }

    void collect(bool wait) override {
        io_uring_cqe* entry = nullptr;
        while (wait && ::io_uring_wait_cqe(&ring_, &entry) == -EINTR) {
        }
        while (::io_uring_peek_cqe(&ring_, &entry) == 0) {
            std::unique_ptr<Operation> operation(
                static_cast<Operation*>(::io_uring_cqe_get_data(entry)));
            const int answer = entry->res;
            ::io_uring_cqe_seen(&ring_, entry);
            --in_kernel_;
            const std::int64_t result = settle(*operation, answer);
            finished(std::move(operation), result);
        }
    }

  private:
    static void prepare(io_uring_sqe& entry, const Operation& operation) {
        const int fd = operation.fd;
        const auto pieces = static_cast<unsigned>(operation.pieces.size());
        switch (operation.call) {
            case Call::write:
                ::io_uring_prep_writev(&entry, fd, operation.pieces.data(), pieces,
                                       operation.offset);
                break;
            case Call::read:
                ::io_uring_prep_readv(&entry, fd, operation.pieces.data(), pieces,
                                      operation.offset);
                break;
            case Call::allocate:
                ::io_uring_prep_fallocate(&entry, fd, 0, 0, static_cast<off_t>(operation.offset));
                break;
            case Call::sync_data:
                ::io_uring_prep_fsync(&entry, fd, IORING_FSYNC_DATASYNC);
                break;
            case Call::sync_all:
                ::io_uring_prep_fsync(&entry, fd, 0);
                break;
        }
        if (operation.call == Call::write && bytes_of(operation) >= handed_over_min_bytes)
            entry.flags |= IOSQE_ASYNC;
    }

    static std::size_t bytes_of(const Operation& operation) {
        std::size_t bytes = 0;
        for (const iovec& piece : operation.pieces)
            bytes += piece.iov_len;
        return bytes;
    }

    // What the kernel leaves to be asked for another way is; see perform().
    static std::int64_t settle(const Operation& operation, std::int64_t result) {
        const bool is_sync = operation.call == Call::sync_data || operation.call == Call::sync_all;
        if (is_sync) return result == -EINTR ? -EIO : result;
        const bool again = result == -EINTR || result == -EAGAIN ||
                           (result == -EOPNOTSUPP && operation.call == Call::allocate);
        return again ? perform(operation) : result;
    }

    io_uring ring_{};
    bool made_ = false;
    std::size_t in_kernel_ = 0;
};

}  // namespace

std::unique_ptr<Engine> create_uring_engine(Fd ready, std::string& refusal) {
    auto engine = std::make_unique<UringEngine>(std::move(ready));
    const int error = engine->open();
    if (error == 0) return engine;
    refusal = std::string("io_uring: ") + std::strerror(error);
    return nullptr;
}

}  // namespace shmq::journal

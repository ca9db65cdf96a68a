#include "daemon/journal/engine.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.hpp"

namespace shmq::journal {
namespace {

// The call's answer, or -errno; again where a signal came between.
template <typename Function>
std::int64_t answer(Function call) {
    for (;;) {
        const std::int64_t result = call();
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

std::int64_t once(int result) {
    if (result == 0) return 0;
    return errno == EINTR ? -EIO : -errno;
}

}  // namespace

std::unique_ptr<Engine> Engine::create(EngineChoice choice, std::string& refusal) {
    refusal.clear();
    const auto make_ready = [] { return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); };
    Fd ready = make_ready();
    if (!ready) {
        refusal = std::string("eventfd: ") + std::strerror(errno);
        return nullptr;
    }
    if (choice == EngineChoice::thread) return create_thread_engine(std::move(ready));
    auto engine = create_uring_engine(std::move(ready), refusal);
    if (engine != nullptr || choice == EngineChoice::uring) return engine;
    ready = make_ready();
    return ready ? create_thread_engine(std::move(ready)) : nullptr;
}

void Engine::write(int fd, std::uint64_t offset, std::vector<iovec> pieces, Done done) {
    start(Call::write, fd, offset, std::move(pieces), std::move(done));
}

void Engine::read(int fd, std::uint64_t offset, std::span<std::byte> into, Done done) {
    start(Call::read, fd, offset, {iovec{into.data(), into.size()}}, std::move(done));
}

void Engine::allocate(int fd, std::uint64_t bytes, Done done) {
    start(Call::allocate, fd, bytes, {}, std::move(done));
}

void Engine::sync_data(int fd, Done done) {
    start(Call::sync_data, fd, 0, {}, std::move(done));
}

void Engine::sync_all(int fd, Done done) {
    start(Call::sync_all, fd, 0, {}, std::move(done));
}

void Engine::start(Call call, int fd, std::uint64_t offset, std::vector<iovec> pieces, Done done) {
    ++under_way_;
    submit(std::make_unique<Operation>(
        Operation{call, fd, offset, std::move(pieces), std::move(done)}));
}

void Engine::finished(std::unique_ptr<Operation> operation, std::int64_t result) {
    finished_.emplace_back(std::move(operation->done), result);
}

bool Engine::run(bool wait) {
    if (under_way_ == 0) return false;
    // Before looking: what completes from here on makes it readable again.
    eventfd_t count = 0;
    ::eventfd_read(ready_.get(), &count);
    collect(wait && finished_.empty());
    // One by one: a completion may come back here, to wait for another of them.
    for (std::size_t left = finished_.size(); left > 0 && !finished_.empty(); --left) {
        const auto [done, result] = std::move(finished_.front());
        finished_.pop_front();
        --under_way_;
        done(result);
    }
    return true;
}

std::int64_t Engine::perform(const Operation& operation) {
    const int fd = operation.fd;
    const auto offset = static_cast<off_t>(operation.offset);
    const auto pieces = static_cast<int>(operation.pieces.size());
    switch (operation.call) {
        case Call::write:
            return answer([&] { return ::pwritev(fd, operation.pieces.data(), pieces, offset); });
        case Call::read:
            return answer([&] { return ::preadv(fd, operation.pieces.data(), pieces, offset); });
        case Call::allocate: {
            const std::int64_t result = answer([&] { return ::fallocate(fd, 0, 0, offset); });
            if (result != -EOPNOTSUPP) return result;
            // A file system that cannot promise room: its writes may yet find none.
            return answer([&] { return ::ftruncate(fd, offset); });
        }
        case Call::sync_data:
            return once(::fdatasync(fd));
        case Call::sync_all:
            return once(::fsync(fd));
    }
    return -EINVAL;
}

}  // namespace shmq::journal

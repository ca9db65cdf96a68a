#include "daemon/journal/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "base/check.hpp"

namespace shmq::journal {
namespace {

struct RealFile : File {
    explicit RealFile(Fd descriptor) : fd(std::move(descriptor)) {}
    Fd fd;
};

int descriptor_of(File& file) {
    return static_cast<RealFile&>(file).fd.get();
}

// The call's answer, or -errno; again where a signal came between.
template <typename Call>
std::int64_t answer(Call call) {
    for (;;) {
        const std::int64_t result = call();
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

std::unexpected<std::string> refuse(const std::string& path, const std::string& what) {
    return std::unexpected(fmt::format("journal directory {}: {}", path, what));
}

std::string words(int error) {
    switch (error) {
        case EROFS:
            return "the file system is read-only";
        case ENOSPC:
            return "no space left on its disk";
        case EACCES:
        case EPERM:
            return "permission denied; it must belong to the daemon's user";
        default:
            return std::strerror(error);
    }
}

}  // namespace

std::expected<std::unique_ptr<Directory>, std::string> Directory::open(const std::string& path,
                                                                       Use use) {
    Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return refuse(path, words(errno));
    Fd lock;
    if (use == Use::write) {
        struct stat status {};
        if (::fstat(directory.get(), &status) != 0) return refuse(path, words(errno));
        if (status.st_uid != ::geteuid()) {
            return refuse(path,
                          fmt::format("belongs to uid {}, the daemon runs as {}; give it its own",
                                      status.st_uid, ::geteuid()));
        }
        if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
            return refuse(path, "others may write to it; chmod go-w");
        lock.reset(
            ::openat(directory.get(), lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!lock) return refuse(path, words(errno));
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
            return refuse(path, errno == EWOULDBLOCK ? "another daemon uses it (its lock is taken)"
                                                     : words(errno));
        }
    }
    Fd ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!ready) return refuse(path, words(errno));
    return std::unique_ptr<Directory>(
        new Directory(std::move(directory), std::move(lock), std::move(ready)));
}

Directory::Directory(Fd directory, Fd lock, Fd ready)
    : directory_(std::move(directory)), lock_(std::move(lock)), ready_(std::move(ready)) {}

Directory::~Directory() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    work_came_.notify_all();
    if (worker_.joinable()) worker_.join();
}

int Directory::list(std::vector<std::string>& names) {
    Fd again(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!again) return errno;
    DIR* stream = ::fdopendir(again.get());
    if (stream == nullptr) return errno;
    static_cast<void>(again.release());  // the stream's now
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    const int error = errno;
    ::closedir(stream);
    return error;
}

int Directory::open(const std::string& name, std::unique_ptr<File>& file, std::uint64_t& bytes) {
    Fd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return errno;
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return errno;
    if (!S_ISREG(status.st_mode)) return EINVAL;
    bytes = static_cast<std::uint64_t>(status.st_size);
    file = std::make_unique<RealFile>(std::move(fd));
    return 0;
}

int Directory::create(const std::string& name, std::unique_ptr<File>& file) {
    Fd fd(::openat(directory_.get(), name.c_str(),
                   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return errno;
    file = std::make_unique<RealFile>(std::move(fd));
    return 0;
}

int Directory::remove(const std::string& name) {
    return ::unlinkat(directory_.get(), name.c_str(), 0) == 0 ? 0 : errno;
}

int Directory::rename(const std::string& from, const std::string& to) {
    return ::renameat(directory_.get(), from.c_str(), directory_.get(), to.c_str()) == 0 ? 0
                                                                                         : errno;
}

std::int64_t Directory::read_now(File& file, std::uint64_t offset, std::span<std::byte> into) {
    return answer([&] {
        return ::pread(descriptor_of(file), into.data(), into.size(), static_cast<off_t>(offset));
    });
}

void Directory::write(File& file, std::uint64_t offset, std::vector<iovec> pieces, Done done) {
    start(
        [fd = descriptor_of(file), offset, pieces = std::move(pieces)] {
            return answer([&] {
                return ::pwritev(fd, pieces.data(), static_cast<int>(pieces.size()),
                                 static_cast<off_t>(offset));
            });
        },
        std::move(done));
}

void Directory::read(File& file, std::uint64_t offset, std::span<std::byte> into, Done done) {
    start([this, &file, offset, into] { return read_now(file, offset, into); }, std::move(done));
}

void Directory::allocate(File& file, std::uint64_t bytes, Done done) {
    start(
        [fd = descriptor_of(file), bytes]() -> std::int64_t {
            const std::int64_t result =
                answer([&] { return ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)); });
            if (result != -EOPNOTSUPP) return result;
            // A file system that cannot promise room: its writes may yet find none.
            return answer([&] { return ::ftruncate(fd, static_cast<off_t>(bytes)); });
        },
        std::move(done));
}

// A sync that a signal interrupts has not failed, but none is tried twice either: it counts as EIO.
void Directory::sync(File& file, Done done) {
    start(
        [fd = descriptor_of(file)]() -> std::int64_t {
            if (::fdatasync(fd) == 0) return 0;
            return errno == EINTR ? -EIO : -errno;
        },
        std::move(done));
}

void Directory::sync_directory(Done done) {
    start(
        [fd = directory_.get()]() -> std::int64_t {
            if (::fsync(fd) == 0) return 0;
            return errno == EINTR ? -EIO : -errno;
        },
        std::move(done));
}

void Directory::start(std::function<std::int64_t()> call, Done done) {
    {
        const std::lock_guard guard(mutex_);
        operations_.push_back({std::move(call), std::move(done)});
        ++under_way_;
    }
    work_came_.notify_one();
    if (worker_.joinable()) return;
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    // Signals are for the thread that waits for them.
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    worker_ = std::thread([this] { work(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Directory::work() {
    std::unique_lock guard(mutex_);
    for (;;) {
        work_came_.wait(guard, [this] { return stopping_ || !operations_.empty(); });
        if (operations_.empty()) return;
        Operation operation = std::move(operations_.front());
        operations_.pop_front();
        guard.unlock();
        const std::int64_t result = operation.call();
        guard.lock();
        finished_.emplace_back(std::move(operation.done), result);
        ::eventfd_write(ready_.get(), 1);
        work_done_.notify_one();
    }
}

bool Directory::run(bool wait) {
    std::deque<std::pair<Done, std::int64_t>> finished;
    {
        std::unique_lock guard(mutex_);
        if (under_way_ == 0) return false;
        if (wait) work_done_.wait(guard, [this] { return !finished_.empty(); });
        eventfd_t count = 0;
        ::eventfd_read(ready_.get(), &count);
        finished.swap(finished_);
        under_way_ -= finished.size();
    }
    for (auto& [done, result] : finished)
        done(result);
    return true;
}

}  // namespace shmq::journal

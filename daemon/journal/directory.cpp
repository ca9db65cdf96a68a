#include "daemon/journal/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

namespace shmq::journal {
namespace {

struct RealFile : File {
    explicit RealFile(Fd descriptor) : fd(std::move(descriptor)) {}
    Fd fd;
};

int descriptor_of(File& file) {
    return static_cast<RealFile&>(file).fd.get();
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

std::expected<std::unique_ptr<Directory>, std::string> Directory::open(
    const std::string& path, Use use, std::shared_ptr<Engine> engine) {
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
    return std::unique_ptr<Directory>(
        new Directory(std::move(directory), std::move(lock), std::move(engine)));
}

std::expected<std::unique_ptr<Directory>, std::string> Directory::open(const std::string& path,
                                                                       Use use) {
    std::string refusal;
    std::shared_ptr<Engine> engine = Engine::create(EngineChoice::thread, refusal);
    if (engine == nullptr) return refuse(path, refusal);
    return open(path, use, std::move(engine));
}

int list_names(int directory, std::vector<std::string>& names) {
    Fd again(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!again) return errno;
    DIR* stream = ::fdopendir(again.get());
    if (stream == nullptr) return errno;
    static_cast<void>(again.release());  // the stream's now
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    const int error = errno;
    ::closedir(stream);
    return error;
}

int Directory::list(std::vector<std::string>& names) {
    const int error = list_names(directory_.get(), names);
    std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
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
    for (;;) {
        const ssize_t count =
            ::pread(descriptor_of(file), into.data(), into.size(), static_cast<off_t>(offset));
        if (count >= 0) return count;
        if (errno != EINTR) return -errno;
    }
}

void Directory::write(File& file, std::uint64_t offset, std::vector<iovec> pieces, Done done) {
    engine_->write(descriptor_of(file), offset, std::move(pieces), std::move(done));
}

void Directory::read(File& file, std::uint64_t offset, std::span<std::byte> into, Done done) {
    engine_->read(descriptor_of(file), offset, into, std::move(done));
}

void Directory::allocate(File& file, std::uint64_t bytes, Done done) {
    engine_->allocate(descriptor_of(file), bytes, std::move(done));
}

void Directory::sync(File& file, Done done) {
    engine_->sync_data(descriptor_of(file), std::move(done));
}

void Directory::sync_directory(Done done) {
    engine_->sync_all(directory_.get(), std::move(done));
}

}  // namespace shmq::journal

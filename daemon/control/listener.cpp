#include "daemon/control/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace shmq::daemon {
namespace {

constexpr int backlog = 1024;
constexpr const char* system_directory = "/run/shmq";

std::string system_error(std::string_view what, const std::string& path) {
    return fmt::format("{} {}: {}", what, path, std::strerror(errno));
}

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

// Others reach a daemon of root's, and one in the system's directory; rights are checked per call.
mode_t socket_mode(const std::string& directory) {
    return ::geteuid() == 0 || directory == system_directory ? 0666 : 0600;
}

// Makes the directory where it is one of the default places. In those that others can write to,
// somebody may have been there first: it must be ours, and ours alone.
std::string prepare_directory(const std::string& directory) {
    const std::string private_directory = fmt::format("/tmp/shmq-{}", ::geteuid());
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const bool is_private =
        directory == private_directory ||
        (runtime != nullptr && *runtime != 0 && directory == std::string(runtime) + "/shmq");
    if (is_private || directory == system_directory) {
        const mode_t mode = is_private ? 0700 : 0755;
        if (::mkdir(directory.c_str(), mode) != 0 && errno != EEXIST) {
            return system_error("cannot make the directory", directory);
        }
    }
    struct stat status {};
    if (::lstat(directory.c_str(), &status) != 0) {
        return system_error("no directory for the socket,", directory);
    }
    if (!is_private) return {};
    if (!S_ISDIR(status.st_mode)) return directory + " is not a directory; remove it";
    if (status.st_uid != ::geteuid()) {
        return fmt::format("{} belongs to uid {}, not to {}; use --socket for another place",
                           directory, status.st_uid, ::geteuid());
    }
    if ((status.st_mode & 077) != 0) {
        return fmt::format("{} has mode {:04o}, others could replace the socket; chmod it to 0700",
                           directory, status.st_mode & 07777);
    }
    return {};
}

}  // namespace

std::string default_socket_path() {
    if (const char* path = std::getenv("SHMQ_SOCKET"); path != nullptr && *path != 0) return path;
    return usual_socket_path();
}

std::string usual_socket_path() {
    if (::geteuid() == 0) return std::string(system_directory) + "/socket";
    if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime != 0) {
        return std::string(runtime) + "/shmq/socket";
    }
    return fmt::format("/tmp/shmq-{}/socket", ::geteuid());
}

std::string Listener::open(const std::string& path, Fd socket, Fd lock_file, bool lent) {
    path_ = path;
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        return fmt::format("the socket's path has {} bytes, at most {} are possible: {}",
                           path.size(), sizeof(sockaddr_un::sun_path) - 1, path);
    }
    if (std::string problem = prepare_directory(directory_of(path)); !problem.empty()) {
        return problem;
    }
    if (std::string problem = lock(std::move(lock_file)); !problem.empty()) return problem;
    if (take_over(std::move(socket), lent)) return {};
    std::string problem = bind_and_listen();
    if (!problem.empty()) close();
    return problem;
}

// Two locks on one file. flock goes with the descriptor: a keeper has it, too, so that nobody takes
// the place of a dead daemon but its successor. The record lock goes with the process: of two
// successors, should there ever be two, only one works.
std::string Listener::lock(Fd inherited) {
    const std::string path = path_ + ".lock";
    Fd file = inherited ? std::move(inherited)
                        : Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return system_error("cannot open", path);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fcntl(file.get(), F_SETLK, &whole) != 0) {
        held_by_another_ = errno == EWOULDBLOCK || errno == EACCES;
        if (!held_by_another_) return system_error("cannot lock", path);
        char holder[24] = {};
        const ssize_t length = ::pread(file.get(), holder, sizeof(holder) - 1, 0);
        const long pid = length > 0 ? std::strtol(holder, nullptr, 10) : 0;
        if (pid <= 0) return fmt::format("another shmqd, just starting, holds {}", path_);
        return fmt::format("another shmqd (pid {}) holds {}", pid, path_);
    }
    struct stat status {};
    predecessor_died_ = ::fstat(file.get(), &status) == 0 && status.st_size > 0;
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(file.get(), 0) != 0 ||
        ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return system_error("cannot write", path);
    }
    lock_ = std::move(file);
    return {};
}

// If its file is still there: it may have been removed, and then nobody finds it.
bool Listener::take_over(Fd socket, bool lent) {
    struct stat status {};
    if (!socket || ::lstat(path_.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    // A service manager passes sockets that block.
    if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) return false;
    device_ = status.st_dev;
    inode_ = status.st_ino;
    socket_ = std::move(socket);
    lent_ = lent;
    return true;
}

// Bound to a name beside, and renamed once it listens: whoever sees the file is never refused.
std::string Listener::bind_and_listen() {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
        return path_ + " exists and is not a socket; remove it or choose another path";
    }
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return system_error("no socket for", path_);
    // The file is born with the mode of the socket, so at no moment can more connect than may.
    const mode_t mode = socket_mode(directory_of(path_));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // The longest path of all leaves no room for a longer one.
    const bool fits = path_.size() + 1 < sizeof address.sun_path;
    const std::string beside = fits ? path_ + "~" : path_;
    ::unlink(beside.c_str());  // the lock is ours, and so is this
    std::memcpy(address.sun_path, beside.c_str(), beside.size() + 1);
    if (::fchmod(socket.get(), mode) != 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return system_error("cannot bind", beside);
    }
    if (::chmod(beside.c_str(), mode) != 0 || ::stat(beside.c_str(), &status) != 0) {
        return system_error("cannot set the mode of", beside);
    }
    if (::listen(socket.get(), backlog) != 0) return system_error("cannot listen on", path_);
    // What lies there is stale: the lock is ours, so nobody listens there any more.
    if (fits && ::rename(beside.c_str(), path_.c_str()) != 0)
        return system_error("cannot replace", path_);
    device_ = status.st_dev;
    inode_ = status.st_ino;
    socket_ = std::move(socket);
    return {};
}

void Listener::abandon() {
    socket_.reset();
    lock_.reset();
}

void Listener::close() {
    if (socket_ && !lent_) {
        struct stat status {};
        if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ &&
            status.st_ino == inode_) {
            ::unlink(path_.c_str());
        }
    }
    socket_.reset();
    // A keeper may hold the same lock: it is to be free now, and to say that all ended in order.
    if (lock_) {
        static_cast<void>(!::ftruncate(lock_.get(), 0));
        ::flock(lock_.get(), LOCK_UN);
    }
    lock_.reset();
}

}  // namespace shmq::daemon

#include "daemon/state_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/check.hpp"
#include "daemon/control/listener.hpp"
#include "daemon/journal/directory.hpp"

namespace shmq::daemon {
namespace {

constexpr const char* lock_name = "lock";
constexpr const char* probe_name = "probe";
constexpr const char* queues_name = "queues";
constexpr const char* definition_name = "definition.json";
constexpr const char* new_definition_name = "definition.json~";
constexpr std::size_t definition_max_bytes = std::size_t{64} << 10;
constexpr std::size_t identity_digits = 32;

bool is_identity(std::string_view name) {
    return name.size() == identity_digits &&
           name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string words(int error) {
    switch (error) {
        case EROFS:
            return "its file system is read-only; mount it writable, or name another directory "
                   "with --state-dir";
        case ENOSPC:
        case EDQUOT:
            return "its disk is full; make room there";
        case EACCES:
        case EPERM:
            return fmt::format(
                "permission denied; it must belong to uid {}, as whom this daemon "
                "runs",
                ::geteuid());
        case ENOTDIR:
            return "it is no directory; remove it, or name another one with --state-dir";
        default:
            return std::strerror(error);
    }
}

std::string sentence(const std::string& path, std::string_view what) {
    return fmt::format("state directory {}: {}", path, what);
}

// As mkdir -p; errno.
int make_directories(const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        struct stat status {};
        // Looked for first: in a file system that is read-only, making one that is there fails.
        if (::stat(part.c_str(), &status) != 0 && ::mkdir(part.c_str(), 0700) != 0 &&
            errno != EEXIST) {
            return errno;
        }
        if (end == std::string::npos) return 0;
    }
}

bool write_whole(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

Fd open_directory(int at, const char* name) {
    return Fd(::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

// Makes it where it is missing, its name on disk.
Fd need_directory(int at, const char* name) {
    if (::mkdirat(at, name, 0700) != 0) {
        if (errno != EEXIST) return {};
    } else if (::fsync(at) != 0) {
        return {};
    }
    return open_directory(at, name);
}

std::string own_default() {
    if (::geteuid() == 0) return "/var/lib/shmq";
    for (const auto& [variable, below] :
         {std::pair("XDG_STATE_HOME", "/shmq"), std::pair("HOME", "/.local/state/shmq")}) {
        const char* value = std::getenv(variable);
        if (value != nullptr && *value == '/') return std::string(value) + below;
    }
    return {};
}

}  // namespace

std::string default_state_path(const std::string& socket) {
    const char* given = std::getenv("STATE_DIRECTORY");
    if (socket.empty() && given != nullptr && *given == '/') {
        const std::string all = given;
        return all.substr(0, all.find(':'));
    }
    const std::string listens_on = socket.empty() ? default_socket_path() : socket;
    if (listens_on == usual_socket_path()) {
        if (std::string own = own_default(); !own.empty()) return own;
    }
    return listens_on + ".state";
}

// ---- Opening -----------------------------------------------------------------------------------

StateDirectory::Opened StateDirectory::open(const std::string& path) {
    if (const int error = make_directories(path); error != 0) {
        return std::unexpected(sentence(path, "it cannot be made: " + words(error)));
    }
    Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return std::unexpected(sentence(path, words(errno)));
    std::unique_ptr<StateDirectory> opened(new StateDirectory(path, std::move(directory)));
    for (const auto step :
         {&StateDirectory::check_owner, &StateDirectory::lock, &StateDirectory::try_writing}) {
        if (const std::string problem = ((*opened).*step)(); !problem.empty()) {
            return std::unexpected(sentence(path, problem));
        }
    }
    return opened;
}

std::string StateDirectory::check_owner() {
    struct stat status {};
    if (::fstat(directory_.get(), &status) != 0) return words(errno);
    if (status.st_uid != ::geteuid()) {
        return fmt::format(
            "it belongs to uid {}, and this daemon runs as uid {}; chown it, or "
            "name another one with --state-dir",
            status.st_uid, ::geteuid());
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
    return fmt::format("others may write to it (mode {:04o}); chmod it to 0700",
                       status.st_mode & 07777);
}

std::string StateDirectory::lock() {
    lock_.reset(::openat(directory_.get(), lock_name,
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!lock_) return words(errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return words(errno);
        std::array<char, 24> holder{};
        const ssize_t length = ::pread(lock_.get(), holder.data(), holder.size() - 1, 0);
        const long pid = length > 0 ? std::strtol(holder.data(), nullptr, 10) : 0;
        return fmt::format(
            "another shmqd{} uses it; end that one, or name another directory with "
            "--state-dir",
            pid > 0 ? fmt::format(" (pid {})", pid) : "");
    }
    // For people only, and on a full disk there may be no room for it.
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(lock_.get(), 0) == 0) write_whole(lock_.get(), pid);
    return {};
}

std::string StateDirectory::try_writing() {
    Fd probe(::openat(directory_.get(), probe_name,
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    const std::string page(4096, '\0');
    const bool written = probe && write_whole(probe.get(), page);
    const int error = written ? 0 : errno;
    ::unlinkat(directory_.get(), probe_name, 0);
    if (written) return {};
    const bool full = error == ENOSPC || error == EDQUOT;
    if (!full || ::faccessat(directory_.get(), queues_name, F_OK, 0) != 0) return words(error);
    warning_ = sentence(path_, words(error));
    return {};
}

// ---- Queues ------------------------------------------------------------------------------------

std::unexpected<std::string> StateDirectory::refuse(std::string_view doing, int error) const {
    return std::unexpected(sentence(path_, fmt::format("{}: {}", doing, words(error))));
}

Fd StateDirectory::open_queue(const std::string& identity) const {
    SHMQ_CHECK(is_identity(identity));
    const Fd queues = open_directory(directory_.get(), queues_name);
    return queues ? open_directory(queues.get(), identity.c_str()) : Fd();
}

StateDirectory::Outcome<std::string> StateDirectory::queue_path(const std::string& identity) {
    SHMQ_CHECK(is_identity(identity));
    const Fd queues = need_directory(directory_.get(), queues_name);
    if (!queues || !need_directory(queues.get(), identity.c_str())) {
        return refuse("no directory for a queue", errno);
    }
    return fmt::format("{}/{}/{}", path_, queues_name, identity);
}

StateDirectory::Outcome<void> StateDirectory::remove_queue(const std::string& identity) {
    constexpr std::string_view doing = "a removed queue's files stay";
    const Fd queue = open_queue(identity);
    if (!queue && errno == ENOENT) return {};
    if (!queue) return refuse(doing, errno);
    // Without it nobody takes what is left, after a loss of power, for a queue.
    if (::unlinkat(queue.get(), definition_name, 0) == 0) {
        if (::fsync(queue.get()) != 0) return refuse(doing, errno);
    } else if (errno != ENOENT) {
        return refuse(doing, errno);
    }
    std::vector<std::string> names;
    if (const int error = journal::list_names(queue.get(), names); error != 0)
        return refuse(doing, error);
    for (const std::string& name : names) {
        if (::unlinkat(queue.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
            return refuse(doing, errno);
        }
    }
    const Fd queues = open_directory(directory_.get(), queues_name);
    if (!queues || ::unlinkat(queues.get(), identity.c_str(), AT_REMOVEDIR) != 0) {
        return refuse(doing, errno);
    }
    return {};
}

StateDirectory::Outcome<void> StateDirectory::write_definition(const std::string& identity,
                                                               std::string_view text) {
    constexpr std::string_view doing = "a queue's definition cannot be written";
    SHMQ_CHECK(!text.empty() && text.size() <= definition_max_bytes);
    if (auto made = queue_path(identity); !made) return std::unexpected(std::move(made.error()));
    const Fd queue = open_queue(identity);
    if (!queue) return refuse(doing, errno);
    Fd file(::openat(queue.get(), new_definition_name,
                     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file || !write_whole(file.get(), text) || ::fsync(file.get()) != 0 ||
        ::renameat(queue.get(), new_definition_name, queue.get(), definition_name) != 0 ||
        ::fsync(queue.get()) != 0) {
        const int error = errno;
        ::unlinkat(queue.get(), new_definition_name, 0);
        return refuse(doing, error);
    }
    return {};
}

StateDirectory::Outcome<std::string> StateDirectory::read_definition(
    const std::string& identity) const {
    const std::string doing = fmt::format("{}/{}/{}", queues_name, identity, definition_name);
    const Fd queue = open_queue(identity);
    const Fd file(!queue ? -1
                         : ::openat(queue.get(), definition_name,
                                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) return refuse(doing, errno);
    const auto bytes = static_cast<std::size_t>(status.st_size);
    if (!S_ISREG(status.st_mode) || bytes > definition_max_bytes) return refuse(doing, EFBIG);
    std::string text(bytes, '\0');
    const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
    if (count < 0) return refuse(doing, errno);
    text.resize(static_cast<std::size_t>(count));
    return text;
}

StateDirectory::Outcome<std::vector<std::string>> StateDirectory::queues() const {
    std::vector<std::string> names;
    const Fd queues = open_directory(directory_.get(), queues_name);
    if (!queues && errno == ENOENT) return names;
    const int error = queues ? journal::list_names(queues.get(), names) : errno;
    if (error != 0) return refuse("its queues cannot be listed", error);
    std::erase_if(names, [](const std::string& name) { return !is_identity(name); });
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace shmq::daemon

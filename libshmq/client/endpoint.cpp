#include "client/endpoint.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace shmq {
namespace {

constexpr Nanoseconds backlog_pause_ns = 5 * nanoseconds_per_millisecond;
constexpr const char* system_socket = "/run/shmq/socket";

// A program with more rights than its caller does not let the caller's environment lead it.
std::string environment(const char* name) {
    const char* value = ::secure_getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

Endpoint own_endpoint() {
    const std::string runtime = environment("XDG_RUNTIME_DIR");
    if (runtime.starts_with('/')) return {runtime + "/shmq/socket", false};
    return {"/tmp/shmq-" + std::to_string(::geteuid()) + "/socket", true};
}

}  // namespace

std::string Endpoint::directory() const {
    const std::size_t slash = socket.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : socket.substr(0, slash);
}

Endpoints find_endpoints(const std::string& named) {
    const std::string path = named.empty() ? environment("SHMQ_SOCKET") : named;
    if (!path.empty()) return {{{path, false}}, true};
    const Endpoint system{system_socket, false};
    if (::geteuid() == 0) return {{system, own_endpoint()}, false};
    return {{own_endpoint(), system}, false};
}

Result<void> check_private_directory(const std::string& directory) {
    struct stat status {};
    if (::lstat(directory.c_str(), &status) != 0) {
        if (errno == ENOENT) return {};
        return Error(Condition::permission_denied,
                     directory + " cannot be looked at: " + std::strerror(errno), errno);
    }
    std::string problem;
    if (!S_ISDIR(status.st_mode)) {
        problem = "is no directory";
    } else if (status.st_uid != ::geteuid()) {
        problem = "belongs to uid " + std::to_string(status.st_uid) + ", not to uid " +
                  std::to_string(::geteuid());
    } else if ((status.st_mode & 077) != 0) {
        problem = "is open to other users (its mode must be 0700)";
    }
    if (problem.empty()) return {};
    return Error(Condition::permission_denied,
                 directory + " " + problem +
                     ", so whoever listens there cannot be trusted; remove it, or set "
                     "XDG_RUNTIME_DIR or SHMQ_SOCKET to another place");
}

std::expected<Fd, int> connect_socket(const std::string& path, Nanoseconds deadline) {
    sockaddr_un address{};
    if (path.size() >= sizeof address.sun_path) return std::unexpected(ENAMETOOLONG);
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    while (true) {
        Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!socket) return std::unexpected(errno);
        const auto* generic = reinterpret_cast<const sockaddr*>(&address);
        if (::connect(socket.get(), generic, sizeof address) == 0) return socket;
        const int problem = errno;
        if (problem != EAGAIN && problem != EINTR) return std::unexpected(problem);
        if (!sleep_before(deadline, backlog_pause_ns)) return std::unexpected(EAGAIN);
    }
}

bool sleep_before(Nanoseconds deadline, Nanoseconds duration) {
    const Nanoseconds left = deadline - monotonic_now();
    if (left <= 0) return false;
    const Nanoseconds pause = std::min(left, duration);
    const timespec time{pause / nanoseconds_per_second, pause % nanoseconds_per_second};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
    return true;
}

}  // namespace shmq

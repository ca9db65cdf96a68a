#include "daemon/control/identity.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>

#ifndef SO_PEERPIDFD  // Linux 6.5; the headers of Debian 12 are older
#define SO_PEERPIDFD 77
#endif

namespace shmq::daemon {
namespace {

constexpr std::size_t groups_max = 65536;  // NGROUPS_MAX of the kernel

// The number on the line `Pid:` of a pidfd's /proc/self/fdinfo: -1 after it was reaped, 0 in
// a namespace that does not see it. Nothing: not a pidfd.
std::optional<long> pid_of_pidfd(int fd) {
    const std::string path = fmt::format("/proc/self/fdinfo/{}", fd);
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    char text[4096];
    const ssize_t length = ::read(file.get(), text, sizeof(text));
    if (length <= 0) return {};
    const std::string_view lines(text, static_cast<std::size_t>(length));
    constexpr std::string_view label = "\nPid:\t";
    const std::size_t at = lines.find(label);
    if (at == std::string_view::npos) return {};
    long pid = 0;
    const char* begin = lines.data() + at + label.size();
    if (std::from_chars(begin, lines.data() + lines.size(), pid).ec != std::errc{}) return {};
    return pid;
}

}  // namespace

bool identify(int socket, Caller& caller) {
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return false;
    caller.pid = credentials.pid;
    caller.uid = credentials.uid;
    caller.gid = credentials.gid;
    caller.groups.resize(64);
    for (;;) {
        length = static_cast<socklen_t>(caller.groups.size() * sizeof(gid_t));
        if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, caller.groups.data(), &length) == 0) {
            caller.groups.resize(length / sizeof(gid_t));
            return true;
        }
        if (errno != ERANGE || length > groups_max * sizeof(gid_t)) return false;
        caller.groups.resize(length / sizeof(gid_t));
    }
}

std::string executable_of(pid_t pid) {
    if (pid <= 0) return {};
    char target[4096];
    const std::string path = fmt::format("/proc/{}/exe", pid);
    const ssize_t length = ::readlink(path.c_str(), target, sizeof(target));
    if (length > 0) return std::string(target, static_cast<std::size_t>(length));
    // Another user's: its short name may still be read.
    Fd file(::open(fmt::format("/proc/{}/comm", pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    const ssize_t got = ::read(file.get(), target, sizeof(target));
    if (got <= 1) return {};
    return std::string(target, static_cast<std::size_t>(got - 1));
}

std::string check_pidfd(int fd, pid_t pid) {
    const std::optional<long> found = pid_of_pidfd(fd);
    if (!found) return "not a pidfd";
    if (*found <= 0 || pid == 0 || *found == pid) return {};
    return fmt::format("a pidfd of process {}, not of the caller, {}", *found, pid);
}

// The kernel tells the start in ticks since boot, on a clock that goes on while the machine is
// suspended. Ages are compared, not times: a suspended machine makes a process look older than it
// is, which is the harmless side.
bool started_after(pid_t pid, Nanoseconds time) {
    Fd file(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
    char text[1024];
    const ssize_t length = file ? ::read(file.get(), text, sizeof text - 1) : -1;
    if (length <= 0) return false;
    // The name, in brackets, may contain anything; the start is the 20th field behind it.
    std::string_view rest(text, static_cast<std::size_t>(length));
    rest.remove_prefix(std::min(rest.rfind(')') + 1, rest.size()));
    constexpr int start_field = 20;
    for (int field = 0; field < start_field && !rest.empty(); ++field)
        rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()));
    long long ticks = 0;
    if (std::from_chars(rest.data(), rest.data() + rest.size(), ticks).ec != std::errc{}) {
        return false;
    }
    const Nanoseconds tick_ns = nanoseconds_per_second / ::sysconf(_SC_CLK_TCK);
    timespec boot{};
    ::clock_gettime(CLOCK_BOOTTIME, &boot);
    const Nanoseconds age = boot.tv_sec * nanoseconds_per_second + boot.tv_nsec - ticks * tick_ns;
    return age + tick_ns < monotonic_now() - time;
}

Fd open_peer_pidfd(int socket, pid_t pid) {
    int fd = -1;
    socklen_t length = sizeof(fd);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) == 0) return Fd(fd);
    if (pid <= 0) {
        errno = ESRCH;
        return Fd();
    }
    return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace shmq::daemon

#include "daemon/process.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace shmq::daemon {
namespace {

// As the kernel has it since 6.13; the exit code since 6.15. Debian 12's headers do not know it.
struct PidfdInfo {
    std::uint64_t mask;
    std::uint64_t cgroup;
    std::uint32_t pids_and_ids[11];
    std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr unsigned long pidfd_get_info = _IOWR(0xff, 11, PidfdInfo);
constexpr std::uint64_t pidfd_info_exit = 1u << 3;

std::optional<int> status_by_pidfd(int pidfd) {
    PidfdInfo info{};
    info.mask = pidfd_info_exit;
    if (::ioctl(pidfd, pidfd_get_info, &info) != 0 || (info.mask & pidfd_info_exit) == 0) {
        return std::nullopt;
    }
    return info.exit_code;
}

// Empty where that fails, as it does in the midst of a read when the process is reaped (streams
// throw then). What is looked for stands at the beginning.
std::string read_text(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    char text[4096];
    const ssize_t length = ::read(file.get(), text, sizeof text);
    return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string();
}

// The fields of /proc/PID/stat from the state on. The name before them may hold anything.
std::vector<std::string> stat_fields(pid_t pid) {
    const std::string text = read_text("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t name_end = text.rfind(") ");
    if (name_end == std::string::npos) return {};
    std::istringstream words(text.substr(name_end + 2));
    return {std::istream_iterator<std::string>(words), {}};
}

// Of one that its parent has not reaped: field 52. Without the right to see it, the kernel says 0,
// as of an exit with status 0: that is not believed.
std::optional<int> status_by_stat(pid_t pid) {
    constexpr std::size_t exit_code_at = 52 - 3;
    if (pid <= 0) return std::nullopt;
    const auto fields = stat_fields(pid);
    if (fields.size() <= exit_code_at || fields[0] != "Z") return std::nullopt;
    int status = 0;
    const std::string& text = fields[exit_code_at];
    const auto read = std::from_chars(text.data(), text.data() + text.size(), status);
    if (read.ec != std::errc{} || status == 0) return std::nullopt;
    return status;
}

// Where a line of /proc/PID/cgroup says that the process is in that hierarchy.
std::optional<std::string> cgroup_path(const std::string& text, std::string_view controllers) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        if (line.substr(first + 1, second - first - 1) == controllers) {
            return line.substr(second + 1);
        }
    }
    return std::nullopt;
}

// Either layout of the mounts: cgroup v2 alone, or beside v1.
bool cgroup_is_frozen(pid_t pid) {
    const std::string text = read_text("/proc/" + std::to_string(pid) + "/cgroup");
    if (const auto path = cgroup_path(text, "")) {
        for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
            const std::string events = read_text(mount + *path + "/cgroup.events");
            if (events.find("frozen 1") != std::string::npos) return true;
        }
    }
    if (const auto path = cgroup_path(text, "freezer")) {
        return read_text("/sys/fs/cgroup/freezer" + *path + "/freezer.state").starts_with("FROZEN");
    }
    return false;
}

}  // namespace

std::optional<ProcessEnd> how_it_ended(int pidfd, pid_t pid) {
    std::optional<int> status = status_by_pidfd(pidfd);
    if (!status) status = status_by_stat(pid);
    if (!status) status = status_by_pidfd(pidfd);  // reaped just between the two
    if (!status) return std::nullopt;
    ProcessEnd end;
    if (WIFSIGNALED(*status)) {
        end.signal = static_cast<std::uint32_t>(WTERMSIG(*status));
    } else {
        end.exit_status = static_cast<std::uint32_t>(WEXITSTATUS(*status)) + 1;
    }
    return end;
}

bool is_exiting(pid_t pid) {
    constexpr std::size_t flags_at = 9 - 3;
    constexpr unsigned long long exiting = 4;  // PF_EXITING
    if (pid <= 0) return false;
    const auto fields = stat_fields(pid);
    if (fields.size() <= flags_at) return false;
    unsigned long long flags = 0;
    const std::string& text = fields[flags_at];
    std::from_chars(text.data(), text.data() + text.size(), flags);
    return (flags & exiting) != 0 || fields[0] == "Z" || fields[0] == "X";
}

bool is_stopped(pid_t pid) {
    if (pid <= 0) return false;
    const auto fields = stat_fields(pid);
    if (fields.empty()) return false;
    return fields[0] == "T" || fields[0] == "t" || cgroup_is_frozen(pid);
}

}  // namespace shmq::daemon

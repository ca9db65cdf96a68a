#include "cli/process.hpp"

#include <charconv>
#include <climits>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace shmq::cli {

char state_in_stat(std::string_view line) {
    const std::size_t name_end = line.rfind(") ");
    if (name_end == std::string_view::npos || name_end + 2 >= line.size()) return '?';
    return line[name_end + 2];
}

ProcessInfo look_at_process(std::uint32_t pid) {
    ProcessInfo info;
    if (pid == 0) return info;  // of another pid namespace
    char target[PATH_MAX];
    const ssize_t length =
        ::readlink(fmt::format("/proc/{}/exe", pid).c_str(), target, sizeof target);
    if (length > 0) info.executable.assign(target, static_cast<std::size_t>(length));
    // Not a stream: it throws when the process is reaped in the midst of a read.
    char text[1024];
    const int stat = ::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC);
    if (stat < 0) return info;
    const ssize_t read = ::read(stat, text, sizeof text);
    ::close(stat);
    if (read > 0) info.state = state_in_stat({text, static_cast<std::size_t>(read)});
    return info;
}

std::vector<std::uint32_t> running_processes() {
    std::vector<std::uint32_t> pids;
    std::error_code problem;
    for (std::filesystem::directory_iterator entries("/proc", problem);
         !problem && entries != std::filesystem::directory_iterator(); entries.increment(problem)) {
        const std::string name = entries->path().filename().string();
        std::uint32_t pid = 0;
        const auto read = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (read.ec == std::errc{} && read.ptr == name.data() + name.size()) pids.push_back(pid);
    }
    return pids;
}

}  // namespace shmq::cli

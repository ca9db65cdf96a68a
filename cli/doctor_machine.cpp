// The machine as shmq finds it: kernel features, limits, memory, processors.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/doctor.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

constexpr std::uint64_t files_few = 1024;
constexpr std::uint64_t files_least = 128;  // a daemon with a few queues and clients
constexpr std::uint64_t locked_few = std::uint64_t{64} << 10;

std::string line_of(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

Finding check_kernel() {
    utsname system{};
    ::uname(&system);
    unsigned major = 0;
    unsigned minor = 0;
    std::sscanf(system.release, "%u.%u", &major, &minor);
    Finding finding{"kernel", Health::good, fmt::format("Linux {}", system.release), ""};
    if (major < 6 || (major == 6 && minor < 1)) {
        finding.health = Health::warning;
        finding.remedy = "shmq is made for Linux 6.1 and later: upgrade the kernel";
    }
    return finding;
}

// Whether the kernel knows the call and lets us make it: it has something else to say than that.
bool call_is_there(long result) {
    return result >= 0 || (errno != ENOSYS && errno != EPERM && errno != EACCES);
}

std::vector<Finding> check_calls() {
    std::vector<Finding> findings;
    const auto add = [&](const char* name, bool there, Health without, const char* what,
                         const char* remedy) {
        findings.push_back(
            {name, there ? Health::good : without, there ? "is there" : what, there ? "" : remedy});
    };
    constexpr const char* let_through =
        "a seccomp filter (a container's) forbids it, or the kernel is too old: let it through";
    add("futex_waitv", call_is_there(::syscall(SYS_futex_waitv, nullptr, 1, 0, nullptr, 0)),
        Health::note, "is not there", let_through);
    const long barriers = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    add("membarrier", barriers > 0 && (barriers & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0,
        Health::warning, "is not there: every send and receive pays for a fence", let_through);
    const int memory = ::memfd_create("shmq-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const bool sealed = memory >= 0 && ::ftruncate(memory, 4096) == 0 &&
                        ::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
    if (memory >= 0) ::close(memory);
    add("memfd", sealed, Health::broken, "cannot be made or sealed: there can be no queue",
        let_through);
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
    if (process >= 0) ::close(process);
    add("pidfd", process >= 0, Health::broken,
        "cannot be had: nobody would learn of a process's death", let_through);
    return findings;
}

Finding check_io_uring() {
    const bool there = call_is_there(::syscall(SYS_io_uring_setup, 0, nullptr));
    if (there) return {"io_uring", Health::good, "is allowed", ""};
    const std::string disabled = line_of("/proc/sys/kernel/io_uring_disabled");
    return {"io_uring", Health::note,
            "is not allowed: the daemon uses epoll, and a thread for its disk; that is fine",
            !disabled.empty() && disabled != "0"
                ? "to allow it: sysctl kernel.io_uring_disabled=0"
                : "to allow it, let io_uring_setup, io_uring_enter and io_uring_register through "
                  "the seccomp filter"};
}

// The soft limit in a line of /proc/PID/limits; nothing where it cannot be read.
std::optional<std::uint64_t> limit_of(std::uint32_t pid, std::string_view name) {
    std::ifstream file(fmt::format("/proc/{}/limits", pid));
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(name)) continue;
        std::istringstream rest(line.substr(name.size()));
        std::string soft;
        rest >> soft;
        return soft == "unlimited" ? RLIM_INFINITY : std::strtoull(soft.c_str(), nullptr, 10);
    }
    return std::nullopt;
}

std::vector<Finding> check_limits(std::uint32_t daemon_pid) {
    std::vector<Finding> findings;
    const auto whose = [&](std::uint32_t pid) {
        return pid == daemon_pid && daemon_pid != 0 ? fmt::format("of the daemon (pid {})", pid)
                                                    : std::string("of this shell");
    };
    const auto own = static_cast<std::uint32_t>(::getpid());
    for (const std::uint32_t pid : {own, daemon_pid}) {
        const auto files = pid == 0 ? std::nullopt : limit_of(pid, "Max open files");
        if (!files) continue;
        Finding finding{"open files", Health::good,
                        fmt::format("{}: {}", whose(pid),
                                    *files == RLIM_INFINITY ? "unlimited" : format_count(*files)),
                        ""};
        if (*files < files_few) {
            finding.health = *files < files_least ? Health::broken : Health::warning;
            finding.text +=
                "; each queue takes one, two once it was used, and each session three of the "
                "daemon";
            finding.remedy = pid == own ? "ulimit -n 65536, or nofile in /etc/security/limits.conf"
                                        : "LimitNOFILE=65536 in shmqd.service, or ulimit -n";
        }
        findings.push_back(std::move(finding));
    }
    const std::uint64_t locked =
        limit_of(daemon_pid != 0 ? daemon_pid : own, "Max locked memory").value_or(RLIM_INFINITY);
    Finding finding{"locked memory", Health::good,
                    locked == RLIM_INFINITY ? "unlimited" : format_size(locked), ""};
    if (locked < locked_few) {
        finding.health = Health::note;
        finding.text += "; io_uring of older kernels counts its rings here";
        finding.remedy = "LimitMEMLOCK=8M in shmqd.service, or ulimit -l 8192";
    }
    findings.push_back(std::move(finding));
    return findings;
}

Finding check_huge_pages() {
    const std::string text = line_of("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    const std::size_t from = text.find('[');
    const std::string chosen =
        from == std::string::npos ? "not known" : text.substr(from + 1, text.find(']') - from - 1);
    Finding finding{"huge pages", Health::good, fmt::format("for shared memory: {}", chosen), ""};
    if (chosen == "never") {
        finding.health = Health::note;
        finding.remedy =
            "where queues have large pools: echo advise > "
            "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    }
    return finding;
}

Finding check_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int count = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    Finding finding{"processors", Health::good, fmt::format("{} for us", count), ""};
    if (count == 1) {
        finding.health = Health::note;
        finding.text += ": who waits gives up the processor at once; rates are those of switching";
        finding.remedy = "two or more, where throughput matters";
    }
    return finding;
}

Finding check_clock() {
    const std::string source =
        line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    Finding finding{"clock", Health::good, source.empty() ? "not known" : source, ""};
    if (source == "hpet" || source == "acpi_pm" || source == "jiffies" ||
        source == "refined-jiffies") {
        finding.health = Health::warning;
        finding.text += ": each look at the time is a system call, and slow";
        finding.remedy = "see why the kernel refused the tsc: dmesg | grep -i clocksource";
    }
    return finding;
}

}  // namespace

std::vector<Finding> examine_machine(std::uint32_t daemon_pid) {
    std::vector<Finding> findings{check_kernel()};
    const auto append = [&](std::vector<Finding> more) {
        std::move(more.begin(), more.end(), std::back_inserter(findings));
    };
    append(check_calls());
    findings.push_back(check_io_uring());
    append(check_limits(daemon_pid));
    findings.push_back(check_huge_pages());
    findings.push_back(check_processors());
    findings.push_back(check_clock());
    return findings;
}

}  // namespace shmq::cli

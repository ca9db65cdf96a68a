// The daemon as its users find it: socket, directories, other daemons, memory, disk, queues.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <fmt/format.h>
#include <linux/magic.h>

#include "cli/doctor.hpp"
#include "cli/process.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "client/endpoint.hpp"

namespace shmq::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds daemon_patience{3};
constexpr std::uint64_t disk_few = std::uint64_t{1} << 30;

// Who owns it and how it is, or why it cannot be looked at.
std::string look_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::strerror(errno);
    return fmt::format("uid {}, mode {:04o}", status.st_uid, status.st_mode & 07777);
}

Finding check_socket(const Endpoint& endpoint, bool answers, const std::string& why_not) {
    const std::string& path = endpoint.socket;
    struct stat status {};
    Finding finding{"socket", Health::good, path, ""};
    if (endpoint.in_tmp) {
        if (const auto problem = check_private_directory(endpoint.directory()); !problem) {
            finding.health = Health::broken;
            finding.text = problem.error().message();
            finding.remedy = fmt::format(
                "look who made {}, remove it, or set SHMQ_SOCKET or "
                "XDG_RUNTIME_DIR",
                endpoint.directory());
            return finding;
        }
    }
    if (::stat(path.c_str(), &status) != 0) {
        finding.text += errno == ENOENT ? ": not there" : fmt::format(": {}", std::strerror(errno));
        finding.health = errno == ENOENT ? Health::note : Health::broken;
        if (errno != ENOENT) {
            finding.remedy = fmt::format(
                "the directory {} is {}; who uses the daemon must be able "
                "to enter it",
                endpoint.directory(), look_of(endpoint.directory()));
        }
        return finding;
    }
    finding.text += fmt::format(" ({})", look_of(path));
    if (answers) return finding;
    finding.health = Health::broken;
    finding.text += ": " + why_not;
    if (::access(path.c_str(), W_OK) != 0) {
        finding.remedy =
            "your user may not write to it: its owner decides, by owner, group and mode";
    } else {
        finding.remedy =
            "if nobody listens, start the daemon (it replaces the file); if one does and hangs, "
            "'shmq audit --pid PID' looks past it, and killing it loses nothing: its keeper starts "
            "another";
    }
    return finding;
}

std::vector<std::uint32_t> daemons_running() {
    std::vector<std::uint32_t> pids;
    for (const std::uint32_t pid : running_processes()) {
        std::ifstream file(fmt::format("/proc/{}/comm", pid));
        std::string comm;
        std::getline(file, comm);
        if (comm == "shmqd") pids.push_back(pid);
    }
    std::sort(pids.begin(), pids.end());
    return pids;
}

Finding check_daemons(std::uint32_t answering) {
    const std::vector<std::uint32_t> pids = daemons_running();
    Finding finding{"daemons", Health::good, fmt::format("{} run", pids.size()), ""};
    if (pids.size() > 1) {
        finding.health = Health::note;
        finding.text =
            fmt::format("{} run: pids {}; this shell uses {}", pids.size(), fmt::join(pids, ", "),
                        answering == 0 ? "none" : fmt::format("pid {}", answering));
        finding.remedy =
            "programs that are to meet must use the same one: set SHMQ_SOCKET alike for all";
    }
    return finding;
}

// The least of what the process's cgroups allow; nothing where there is no limit.
std::optional<std::uint64_t> memory_limit_of(std::uint32_t pid) {
    std::ifstream groups(fmt::format("/proc/{}/cgroup", pid));
    std::optional<std::uint64_t> least;
    const auto read_limit = [&](const fs::path& file) {
        std::ifstream limit(file);
        std::uint64_t bytes = 0;
        if (limit >> bytes && bytes < (std::uint64_t{1} << 60)) {
            least = std::min(bytes, least.value_or(bytes));
        }
    };
    for (std::string line; std::getline(groups, line);) {
        const bool unified = line.starts_with("0::");
        const std::size_t memory = line.find(":memory:");
        if (!unified && memory == std::string::npos) continue;
        const std::string path = line.substr(unified ? 3 : memory + 8);
        const fs::path root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        for (fs::path each = path; each.has_relative_path(); each = each.parent_path())
            read_limit(root / each.relative_path() /
                       (unified ? "memory.max" : "memory.limit_in_bytes"));
        read_limit(root / (unified ? "memory.max" : "memory.limit_in_bytes"));
    }
    return least;
}

Finding check_memory(std::uint32_t pid, const std::vector<QueueInfo>& queues) {
    std::uint64_t wanted = 0;
    for (const QueueInfo& queue : queues)
        wanted += queue.memory_bytes;
    const auto limit = memory_limit_of(pid != 0 ? pid : static_cast<std::uint32_t>(::getpid()));
    Finding finding{"cgroup memory", Health::good,
                    limit ? fmt::format("limit {}; the queues may take {}", format_size(*limit),
                                        format_size(wanted))
                          : fmt::format("no limit; the queues may take {}", format_size(wanted)),
                    ""};
    if (limit && wanted > *limit) {
        finding.health = Health::warning;
        finding.remedy =
            "smaller pools, or a larger memory.max: memory is counted for whom touched it first, "
            "and who goes beyond the limit is killed";
    }
    return finding;
}

struct FileSystem {
    std::string_view name;
    bool keeps = true;  // what is synced there survives a loss of power
};

FileSystem file_system_of(long magic) {
    switch (magic) {
        case TMPFS_MAGIC:
        case RAMFS_MAGIC:
            return {"tmpfs", false};
        case NFS_SUPER_MAGIC:
            return {"nfs", true};
        case OVERLAYFS_SUPER_MAGIC:
            return {"overlayfs", true};
        case EXT4_SUPER_MAGIC:
            return {"ext4", true};
        case XFS_SUPER_MAGIC:
            return {"xfs", true};
        case BTRFS_SUPER_MAGIC:
            return {"btrfs", true};
        default:
            return {"a file system", true};
    }
}

Finding check_state(const DaemonInfo& daemon) {
    const std::string& directory = daemon.state_directory;
    Finding finding{"state directory", Health::good, directory, ""};
    if (directory.empty()) {
        return {"state directory", Health::warning,
                daemon.alarm.empty() ? "none: no queue can spill or be durable" : daemon.alarm,
                "shmqd --state-dir DIR, or StateDirectory= in its unit"};
    }
    struct statfs status {};
    if (::statfs(directory.c_str(), &status) != 0) {
        finding.text += fmt::format(": {}", std::strerror(errno));
        finding.health = Health::note;
        return finding;
    }
    const auto block = static_cast<std::uint64_t>(status.f_bsize);
    const std::uint64_t free = status.f_bavail * block;
    const std::uint64_t all = status.f_blocks * block;
    const FileSystem kind = file_system_of(status.f_type);
    finding.text +=
        fmt::format(" on {}, {} free of {}", kind.name, format_size(free), format_size(all));
    if (free < disk_few || free < all / 20) {
        finding.health = Health::warning;
        finding.remedy =
            "make room, or give queues a --spill-limit: without room producers wait or are refused";
    }
    if (!kind.keeps) {
        finding.health = Health::warning;
        finding.text += "; it lies in memory: nothing there survives a loss of power";
        finding.remedy = "shmqd --state-dir with a directory on a disk, if a queue is durable";
    } else if (kind.name == "nfs") {
        finding.health = Health::warning;
        finding.text += "; its syncs wait for the network";
        finding.remedy = "shmqd --state-dir with a directory on a local disk";
    }
    if (!daemon.alarm.empty()) {
        finding.health = Health::broken;
        finding.text += "; " + daemon.alarm;
    }
    return finding;
}

std::vector<Finding> check_queues(const std::vector<QueueInfo>& queues) {
    std::vector<Finding> findings;
    for (const QueueInfo& queue : queues) {
        if (queue.quarantined) {
            findings.push_back(
                {"queue", Health::broken,
                 fmt::format("{} is quarantined: its memory contradicts itself", queue.name),
                 fmt::format("shmq audit {0} says how; shmq rm {0} --force, and "
                             "make it anew",
                             queue.name)});
        } else if (!queue.alarm.empty()) {
            const bool failed = queue.journal == JournalState::failed;
            findings.push_back({"queue", failed ? Health::broken : Health::warning,
                                fmt::format("{}: {}", queue.name, queue.alarm),
                                fmt::format("shmq info {}", queue.name)});
        }
    }
    if (findings.empty()) {
        findings.push_back(
            {"queues", Health::good, fmt::format("{}, none with an alarm", queues.size()), ""});
    }
    return findings;
}

}  // namespace

DaemonFindings examine_daemon(const Context& context) {
    DaemonFindings out;
    ConnectOptions options;
    options.socket = context.socket;
    options.start_daemon = false;
    options.timeout = daemon_patience;
    auto client = Client::connect(options);
    Result<DaemonInfo> daemon = client ? client->status() : Result<DaemonInfo>(client.error());
    const Endpoints endpoints = find_endpoints(context.socket);
    for (const Endpoint& endpoint : endpoints.in_order) {
        const bool answers = daemon && daemon->socket == endpoint.socket;
        out.findings.push_back(
            check_socket(endpoint, answers || (daemon && !fs::exists(endpoint.socket)),
                         daemon ? "another one answers" : daemon.error().message()));
        // One further down is used only where those before it are not there.
        if (answers) break;
    }
    if (daemon) out.pid = daemon->pid;
    out.findings.push_back(check_daemons(out.pid));
    if (!daemon) {
        const bool none = daemon.condition() == Condition::no_daemon;
        out.findings.push_back(
            {"daemon", none ? Health::note : Health::broken,
             none ? "none answers" : escape(daemon.error().message()),
             none ? "systemctl enable --now shmqd.socket, or let the first program start its own"
                  : ""});
        out.findings.push_back(check_memory(0, {}));
        return out;
    }
    Finding alive{"daemon", Health::good,
                  fmt::format("pid {}, version {}, for {}", daemon->pid, daemon->version,
                              format_duration(daemon->uptime)),
                  ""};
    if (daemon->version != version()) {
        alive.health = Health::warning;
        alive.text += fmt::format("; this is {}", version());
        alive.remedy =
            "kill the old daemon after an upgrade: nothing is lost, the new one takes over";
    }
    out.findings.push_back(std::move(alive));
    out.findings.push_back(check_state(*daemon));
    const auto queues = client->list();
    const std::vector<QueueInfo> listed = queues ? *queues : std::vector<QueueInfo>();
    out.findings.push_back(check_memory(daemon->pid, listed));
    for (Finding& finding : check_queues(listed))
        out.findings.push_back(std::move(finding));
    return out;
}

}  // namespace shmq::cli

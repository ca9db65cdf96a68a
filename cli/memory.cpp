#include "cli/memory.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/json.hpp"
#include "cli/process.hpp"
#include "client/session.hpp"
#include "daemon/catalogue_format.hpp"

namespace shmq::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t definition_max_bytes = std::size_t{64} << 10;
constexpr std::chrono::seconds daemon_patience{3};

// What a process holds of queues: memfds by inode, and what they belong to. That says the daemon's
// catalogue, or with a client the definition of each queue.
struct Holdings {
    struct Queue {
        std::string name;
        std::uint64_t pool_inode = 0;
        std::uint64_t serial = 0;  // in the catalogue: of two the later holds
    };
    std::map<std::uint64_t, Queue> queues;  // by the ring's inode
    std::map<std::uint64_t, Fd> memory;
    int os_error = 0;  // that something could not be looked at

    void add(const std::string& text, std::uint64_t serial) {
        Queue queue{text_member(text, "name"), number_member(text, "pool_inode"), serial};
        if (queue.name.empty()) return;
        const auto [place, fresh] = queues.try_emplace(number_member(text, "ring_inode"), queue);
        if (!fresh && place->second.serial < serial) place->second = std::move(queue);
    }
};

std::string read_small(int fd) {
    std::string text(definition_max_bytes, '\0');
    const ssize_t read = ::pread(fd, text.data(), text.size(), 0);
    text.resize(read > 0 ? static_cast<std::size_t>(read) : 0);
    return text;
}

void read_catalogue(int fd, Holdings& found) {
    const std::uint32_t places = daemon::catalogue_places(fd);
    for (std::uint32_t place = 1; place < places; ++place) {
        if (const auto entry = daemon::read_catalogue_entry(fd, place))
            found.add(entry->text, entry->serial);
    }
}

Holdings holdings_of(std::uint32_t pid, bool names_only) {
    Holdings found;
    std::error_code problem;
    const fs::path directory = fmt::format("/proc/{}/fd", pid);
    fs::directory_iterator entries(directory, problem);
    if (problem) found.os_error = problem.value();
    const std::string catalogue_target = fmt::format("/memfd:{}", daemon::catalogue_memory_name);
    for (; !problem && entries != fs::directory_iterator(); entries.increment(problem)) {
        const fs::path& path = entries->path();
        std::error_code gone;
        const std::string target = fs::read_symlink(path, gone).string();
        if (!target.starts_with("/memfd:shmq-")) continue;
        const bool definition = target.starts_with("/memfd:shmq-definition");
        const bool catalogue = target.starts_with(catalogue_target);
        if (names_only && !definition && !catalogue) continue;
        Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat status {};
        if (!fd || ::fstat(fd.get(), &status) != 0) {
            found.os_error = errno;
        } else if (catalogue) {
            read_catalogue(fd.get(), found);
        } else if (definition) {
            found.add(read_small(fd.get()), 0);
        } else {
            found.memory.try_emplace(status.st_ino, std::move(fd));
        }
    }
    return found;
}

Fd take(Holdings& holdings, std::uint64_t inode) {
    const auto found = holdings.memory.find(inode);
    return found == holdings.memory.end() ? Fd() : found->second.duplicate();
}

std::vector<Memory> through_process(const std::string& queue, std::uint32_t pid) {
    Holdings holdings = holdings_of(pid, false);
    std::vector<Memory> found;
    for (const auto& [ring_inode, held] : holdings.queues) {
        if (!queue.empty() && held.name != queue) continue;
        Memory memory{held.name, fmt::format("pid {}", pid), nullptr, {}};
        shm::AttachFailure failure;
        memory.segment =
            shm::Segment::attach(take(holdings, ring_inode), take(holdings, held.pool_inode),
                                 shm::Access::observer, failure);
        if (memory.segment == nullptr) memory.problem = failure.detail;
        found.push_back(std::move(memory));
    }
    std::sort(found.begin(), found.end(),
              [](const Memory& a, const Memory& b) { return a.queue < b.queue; });
    if (!found.empty()) return found;
    if (holdings.os_error != 0) {
        throw Failure(Exit::failed,
                      fmt::format("process {}: {}; its descriptors can be opened by whom the "
                                  "daemon runs as, and by root",
                                  pid, std::strerror(holdings.os_error)));
    }
    throw Failure(Exit::nothing,
                  queue.empty() ? fmt::format("process {} holds no queue", pid)
                                : fmt::format("process {} does not hold queue '{}'", pid, queue));
}

// `; process 7 (shmq-keeper) holds it: --pid 7`
std::string who_else(const std::string& queue) {
    for (const std::uint32_t pid : running_processes()) {
        for (const auto& [ring_inode, held] : holdings_of(pid, true).queues) {
            if (!queue.empty() && held.name != queue) continue;
            const std::string program =
                fs::path(look_at_process(pid).executable).filename().string();
            return fmt::format("; process {} ({}) holds {}: --pid {}", pid, program,
                               queue.empty() ? "queues" : "it", pid);
        }
    }
    return "; nobody whom we may look at holds it";
}

std::vector<Memory> through_daemon(const Context& context, const std::string& queue) {
    ConnectOptions options;
    options.socket = context.socket;
    options.start_daemon = false;
    options.timeout = daemon_patience;
    Client client = need(Client::connect(options));
    std::vector<std::string> names{queue};
    if (queue.empty()) {
        names.clear();
        for (const QueueInfo& each : need(client.list()))
            names.push_back(each.name);
    }
    std::vector<Memory> found;
    for (const std::string& name : names) {
        auto observed = SessionAccess::of(client)->observe(name);
        if (!observed && queue.empty() && observed.condition() == Condition::permission_denied) {
            continue;
        }
        found.push_back({name, "daemon", need(std::move(observed)).segment, {}});
    }
    return found;
}

}  // namespace

std::vector<Memory> open_memory(const Context& context, const std::string& queue,
                                std::optional<std::uint32_t> pid) {
    if (pid) return through_process(queue, *pid);
    try {
        return through_daemon(context, queue);
    } catch (const QueueMissing&) {
        throw;
    } catch (const Failure& failure) {
        if (failure.status() != Exit::no_daemon && failure.status() != Exit::nothing) throw;
        throw Failure(Exit::no_daemon, failure.what() + who_else(queue));
    }
}

}  // namespace shmq::cli

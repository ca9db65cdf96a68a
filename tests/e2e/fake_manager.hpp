// A service manager that keeps descriptors, as systemd's store does, for tests that look into what
// was kept or change it before the next daemon gets it.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/catalogue.hpp"
#include "daemon/keeper/message.hpp"
#include "e2e/daemon_process.hpp"

namespace shmq::daemon::test {

class FakeManager {
  public:
    explicit FakeManager(const TemporaryDirectory& directory)
        : path_(directory / "notify"), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    // Takes what has come.
    void take() {
        Notice notice;
        for (Fd fd; receive_notice(socket_.get(), notice, fd) == NoticeReceived::notice;
             notice = {}, fd.reset()) {
            if (notice.store) kept[notice.name] = std::move(fd);
            if (notice.remove) kept.erase(notice.name);
            ready += notice.ready ? 1 : 0;
            stopping += notice.stopping ? 1 : 0;
        }
    }
    bool comes_to(const std::function<bool()>& wanted) {
        return eventually([&] {
            take();
            return wanted();
        });
    }
    std::size_t count(char kind) const {
        std::size_t found = 0;
        for (const auto& [name, fd] : kept)
            found += kept_id(name, kind) != 0 ? 1u : 0u;
        return found;
    }
    std::vector<CatalogueEntry> catalogue() const {
        std::vector<CatalogueEntry> entries;
        const auto found = kept.find(std::string(kept::catalogue));
        if (found == kept.end()) return entries;
        Catalogue catalogue;
        EXPECT_TRUE(catalogue.adopt(found->second.duplicate(), entries));
        return entries;
    }
    // To be run before the daemon's exec: the environment of a service, with all that is kept.
    std::function<void()> environment() const {
        return [this] {
            ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
            if (kept.empty()) return;
            std::string names;
            std::vector<int> sources;
            for (const auto& [name, fd] : kept) {
                names += (names.empty() ? "" : ":") + name;
                sources.push_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 200));
            }
            for (std::size_t index = 0; index < sources.size(); ++index)
                ::dup2(sources[index], 3 + static_cast<int>(index));
            ::setenv("LISTEN_FDS", std::to_string(sources.size()).c_str(), 1);
            ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
            ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        };
    }

    std::map<std::string, Fd> kept;
    int ready = 0;
    int stopping = 0;

  private:
    std::string path_;
    Fd socket_;
};

}  // namespace shmq::daemon::test

#include "daemon/journald.hpp"

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "base/fd.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {
namespace {

constexpr const char* journal_socket = "/run/systemd/journal/socket";

// As of syslog(3).
int priority_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::critical:
            return 2;
        case spdlog::level::err:
            return 3;
        case spdlog::level::warn:
            return 4;
        case spdlog::level::info:
            return 6;
        default:
            return 7;
    }
}

// The word behind the first `before`, of characters that `good` lets through.
template <typename Good>
std::string_view word_behind(std::string_view line, std::string_view before, Good good) {
    std::size_t at = line.find(before);
    // Of a word: not the end of another one.
    while (at != std::string_view::npos && at != 0 && line[at - 1] != ' ' && line[at - 1] != '(')
        at = line.find(before, at + 1);
    if (at == std::string_view::npos) return {};
    const std::string_view rest = line.substr(at + before.size());
    return rest.substr(0, static_cast<std::size_t>(
                              std::find_if_not(rest.begin(), rest.end(), good) - rest.begin()));
}

class JournalSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit JournalSink(Fd socket) : socket_(std::move(socket)) {}

  private:
    // What journald does not take is lost: the daemon waits for no reader of its log.
    void sink_it_(const spdlog::details::log_msg& message) override {
        const std::string fields =
            journal_fields({message.payload.data(), message.payload.size()}, message.level);
        static_cast<void>(
            ::send(socket_.get(), fields.data(), fields.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    void flush_() override {}

    Fd socket_;
};

}  // namespace

std::string journal_fields(std::string_view line, spdlog::level::level_enum level) {
    std::string text(line);
    std::replace(text.begin(), text.end(), '\n', ' ');  // a line is a field here
    std::string fields =
        fmt::format("PRIORITY={}\nSYSLOG_IDENTIFIER=shmqd\nMESSAGE={}\n", priority_of(level), text);
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    std::string_view queue =
        word_behind(text, "queue ", [](char c) { return c > ' ' && c < 0x7f; });
    while (!queue.empty() && (queue.back() == ':' || queue.back() == ',' || queue.back() == ';'))
        queue.remove_suffix(1);
    if (wire::check_name(queue).empty()) fields += fmt::format("SHMQ_QUEUE={}\n", queue);
    std::string_view pid = word_behind(text, "pid ", digit);
    if (pid.empty()) pid = word_behind(text, "process ", digit);
    if (!pid.empty()) fields += fmt::format("SHMQ_PID={}\n", pid);
    return fields;
}

bool logs_to_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
    return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

spdlog::sink_ptr make_journal_sink() {
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::string_view(journal_socket).copy(name.sun_path, sizeof name.sun_path - 1);
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
        return nullptr;
    }
    return std::make_shared<JournalSink>(std::move(socket));
}

}  // namespace shmq::daemon

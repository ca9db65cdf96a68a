#include "daemon/keeper/inherited.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace shmq::daemon {
namespace {

constexpr int first_descriptor = 3;  // SD_LISTEN_FDS_START
constexpr int number_base = 36;

// The value of a variable that is a number; -1: it is none.
long number_of(const char* variable) {
    const char* text = std::getenv(variable);
    if (text == nullptr) return -1;
    long number = -1;
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, number);
    return error == std::errc{} && rest == end ? number : -1;
}

bool is_listening(int fd) {
    int listening = 0;
    socklen_t length = sizeof listening;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

}  // namespace

std::string kept_name(char kind, std::uint64_t id) {
    char digits[16];
    const auto result = std::to_chars(digits, digits + sizeof digits, id, number_base);
    return kind + std::string(digits, result.ptr);
}

std::uint64_t kept_id(std::string_view name, char kind) {
    if (name.size() < 2 || name.front() != kind) return 0;
    std::uint64_t id = 0;
    const char* end = name.data() + name.size();
    const auto result = std::from_chars(name.data() + 1, end, id, number_base);
    return result.ec == std::errc{} && result.ptr == end ? id : 0;
}

Inherited take_inherited() {
    Inherited inherited;
    if (number_of("LISTEN_PID") == ::getpid()) {
        const long count = number_of("LISTEN_FDS");
        const char* names = std::getenv("LISTEN_FDNAMES");
        std::string_view rest = names == nullptr ? "" : names;
        for (long index = 0; index < count; ++index) {
            const std::size_t end = std::min(rest.find(':'), rest.size());
            std::string name(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
            Fd fd(first_descriptor + static_cast<int>(index));
            if (::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) {
                static_cast<void>(fd.release());  // not open: whoever started us cannot count
                continue;
            }
            if (name != kept::listener && is_listening(fd.get())) name = kept::lent;
            inherited.insert_or_assign(std::move(name), std::move(fd));
        }
    }
    for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
        ::unsetenv(variable);
    return inherited;
}

Nanoseconds take_watchdog() {
    constexpr long usec_max = 24L * 3600 * 1'000'000;
    const bool ours =
        std::getenv("WATCHDOG_PID") == nullptr || number_of("WATCHDOG_PID") == ::getpid();
    const long usec = ours ? number_of("WATCHDOG_USEC") : 0;
    for (const char* variable : {"WATCHDOG_PID", "WATCHDOG_USEC"})
        ::unsetenv(variable);
    return std::clamp(usec, 0L, usec_max) * 1000;
}

Fd take(Inherited& inherited, const std::string& name) {
    auto node = inherited.extract(name);
    return node.empty() ? Fd() : std::move(node.mapped());
}

}  // namespace shmq::daemon

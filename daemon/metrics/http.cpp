#include "daemon/metrics/http.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

constexpr std::size_t connections_most = 16;
constexpr std::size_t request_max_bytes = 8192;
constexpr Nanoseconds request_time_max_ns = 10 * nanoseconds_per_second;
// Each page is a walk of every ring: whoever asks again at once gets the same.
constexpr Nanoseconds page_lasts_ns = 500 * nanoseconds_per_millisecond;
constexpr std::string_view unix_prefix = "unix:";

struct Address {
    sockaddr_storage name{};
    socklen_t length = 0;
    std::string path;
};

std::optional<Address> parse_path(const std::string& path) {
    Address address;
    auto& name = reinterpret_cast<sockaddr_un&>(address.name);
    if (path.empty() || path.front() != '/' || path.size() >= sizeof name.sun_path) return {};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    address.path = path;
    return address;
}

// Loopback alone: there is no door here that a network should see.
std::optional<Address> parse_address(const std::string& text) {
    if (text.starts_with(unix_prefix)) return parse_path(text.substr(unix_prefix.size()));
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return {};
    std::uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + colon + 1, end, port);
    if (read.ec != std::errc{} || read.ptr != end || port == 0) return {};
    Address address;
    const std::string host = text.substr(0, colon);
    if (host == "[::1]") {
        auto& name = reinterpret_cast<sockaddr_in6&>(address.name);
        name.sin6_family = AF_INET6;
        name.sin6_port = htons(port);
        name.sin6_addr = in6addr_loopback;
        address.length = sizeof name;
        return address;
    }
    auto& name = reinterpret_cast<sockaddr_in&>(address.name);
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    address.length = sizeof name;
    const bool number = ::inet_pton(AF_INET, host.c_str(), &name.sin_addr) == 1;
    if (!number || ntohl(name.sin_addr.s_addr) >> 24 != 127) return {};
    return address;
}

std::string response(std::string_view status, std::string_view type, std::string_view body,
                     bool with_body) {
    return fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        status, type, body.size(), with_body ? body : std::string_view{});
}

}  // namespace

std::string check_metrics_address(const std::string& address) {
    if (parse_address(address)) return {};
    return fmt::format(
        "\"{}\" has to be \"unix:/PATH\", or a port of this machine alone as in \"127.0.0.1:9464\"",
        address);
}

std::string MetricsServer::listen(const std::string& address) {
    if (address == address_) return {};
    stop();
    if (address.empty()) return {};
    const auto parsed = parse_address(address);
    if (!parsed) return check_metrics_address(address);
    Fd socket(::socket(parsed->name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto failed = [&](const char* doing) {
        return fmt::format("metrics cannot be served on {}: {}: {}", address, doing,
                           std::strerror(errno));
    };
    if (!socket) return failed("socket");
    const int yes = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!parsed->path.empty()) {
        // One of a predecessor: the daemon's own lock says that it is gone.
        struct stat status {};
        if (::lstat(parsed->path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
            ::unlink(parsed->path.c_str());
    }
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&parsed->name), parsed->length) != 0)
        return failed("bind");
    if (!parsed->path.empty() && ::chmod(parsed->path.c_str(), 0660) != 0) return failed("chmod");
    // Whoever comes while many wait to be taken in is not refused for that.
    if (::listen(socket.get(), SOMAXCONN) != 0) return failed("listen");
    listening_ = std::move(socket);
    address_ = address;
    path_ = parsed->path;
    io_.watch(source_, listening_.get(), POLLIN, Priority::request,
              [this](unsigned) { return on_connection(); });
    log().info("metrics on {}", address);
    return {};
}

void MetricsServer::stop() {
    io_.forget(source_);
    while (!connections_.empty())
        end(*connections_.front());
    bury();
    listening_.reset();
    if (!path_.empty()) ::unlink(path_.c_str());
    path_.clear();
    address_.clear();
}

Progress MetricsServer::on_connection() {
    Fd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return Progress::drained;
    // The oldest makes room: it may be one that says nothing.
    if (connections_.size() == connections_most) end(*connections_.front());
    admit(std::move(socket));
    return Progress::more;
}

void MetricsServer::admit(Fd socket) {
    connections_.push_back(std::make_unique<Connection>());
    Connection& connection = *connections_.back();
    connection.place = std::prev(connections_.end());
    connection.socket = std::move(socket);
    io_.watch(connection.source, connection.socket.get(), POLLIN, Priority::request,
              [this, &connection](unsigned) { return on_ready(connection); });
    timers_.arm(connection.timer, deadline_after(monotonic_now(), request_time_max_ns),
                [this, &connection] { end(connection); });
}

Progress MetricsServer::on_ready(Connection& connection) {
    return connection.answer.empty() ? read(connection) : write(connection);
}

Progress MetricsServer::read(Connection& connection) {
    char bytes[1024];
    const ssize_t count = ::recv(connection.socket.get(), bytes, sizeof bytes, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::drained;
    if (count <= 0) {
        end(connection);
        return Progress::drained;
    }
    connection.request.append(bytes, static_cast<std::size_t>(count));
    const bool whole = connection.request.find("\r\n\r\n") != std::string::npos;
    if (!whole && connection.request.size() <= request_max_bytes) return Progress::more;
    connection.answer =
        whole ? answer_to(connection.request)
              : response("431 Request Header Fields Too Large", "text/plain", "too long\n", true);
    io_.change(connection.source, POLLOUT);
    return Progress::drained;
}

Progress MetricsServer::write(Connection& connection) {
    const std::string_view left = std::string_view(connection.answer).substr(connection.sent_bytes);
    const ssize_t count = ::send(connection.socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::drained;
    if (count > 0) connection.sent_bytes += static_cast<std::size_t>(count);
    if (count < 0 || connection.sent_bytes == connection.answer.size()) {
        ::shutdown(connection.socket.get(), SHUT_WR);
        end(connection);
        return Progress::drained;
    }
    return Progress::more;
}

void MetricsServer::end(Connection& connection) {
    timers_.disarm(connection.timer);
    io_.forget(connection.source);
    // Its handler may be running: it is destroyed when nothing runs.
    ended_.splice(ended_.end(), connections_, connection.place);
}

std::string MetricsServer::answer_to(const std::string& request) {
    const std::string line = request.substr(0, request.find("\r\n"));
    const std::size_t first = line.find(' ');
    const std::size_t second = line.find(' ', first + 1);
    if (first == std::string::npos || second == std::string::npos ||
        !line.substr(second + 1).starts_with("HTTP/1.")) {
        return response("400 Bad Request", "text/plain", "this is no HTTP/1\n", true);
    }
    const std::string method = line.substr(0, first);
    std::string target = line.substr(first + 1, second - first - 1);
    target.erase(std::min(target.find('?'), target.size()));
    if (method != "GET" && method != "HEAD") {
        return response("405 Method Not Allowed", "text/plain", "GET alone\n", true);
    }
    if (target != "/metrics") {
        return response("404 Not Found", "text/plain", "it is at /metrics\n", method == "GET");
    }
    return response("200 OK", "text/plain; version=0.0.4; charset=utf-8", page(), method == "GET");
}

const std::string& MetricsServer::page() {
    const Nanoseconds now = monotonic_now();
    if (last_page_.empty() || now - last_page_at_ > page_lasts_ns) {
        last_page_ = page_();
        last_page_at_ = now;
    }
    return last_page_;
}

}  // namespace shmq::daemon

#include "cli/output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/command.hpp"

namespace shmq::cli {
namespace {

std::string* collected = nullptr;

// Somebody else may have made our end of a terminal or pipe non-blocking; then wait for room.
bool wait_for_room(int fd) {
    pollfd ready{fd, POLLOUT, 0};
    return ::poll(&ready, 1, -1) >= 0 || errno == EINTR;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            if (!wait_for_room(fd)) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

}  // namespace

void collect_output(std::string* into) {
    collected = into;
}

void print(std::string_view text) {
    if (collected != nullptr) {
        *collected += text;
        return;
    }
    if (!write_all(STDOUT_FILENO, text)) {
        throw Failure(Exit::failed, fmt::format("standard output: {}", std::strerror(errno)));
    }
}

void complain(std::string_view text) {
    // Where this cannot be written there is nobody to tell.
    static_cast<void>(write_all(STDERR_FILENO, fmt::format("shmq: {}\n", text)));
}

void MessageWriter::gather(std::span<const Message> messages) {
    pieces_.clear();
    for (const Message& message : messages) {
        // writev does not write through it.
        pieces_.push_back({const_cast<std::byte*>(message.data()), message.size()});
        if (!ending_.empty()) pieces_.push_back({ending_.data(), ending_.size()});
    }
}

MessageWriter::Outcome MessageWriter::write(std::span<const Message> messages,
                                            const std::function<bool()>& go_on) {
    gather(messages);
    Outcome outcome;
    const std::size_t pieces_each = ending_.empty() ? 1 : 2;
    std::size_t at = 0;  // the piece to go on with
    while (at < pieces_.size()) {
        const std::size_t count = std::min<std::size_t>(pieces_.size() - at, IOV_MAX);
        const ssize_t written = ::writev(fd_, &pieces_[at], static_cast<int>(count));
        if (written < 0) {
            if (errno == EAGAIN && wait_for_room(fd_)) continue;
            if (errno == EINTR && go_on()) continue;
            outcome.os_error = errno == EINTR ? 0 : errno;
            break;
        }
        auto left = static_cast<std::size_t>(written);
        outcome.bytes += left;
        while (at < pieces_.size() && left >= pieces_[at].iov_len)
            left -= pieces_[at++].iov_len;
        if (at == pieces_.size()) break;
        pieces_[at].iov_base = static_cast<char*>(pieces_[at].iov_base) + left;
        pieces_[at].iov_len -= left;
        if (!go_on()) break;
    }
    outcome.whole = at / pieces_each;
    return outcome;
}

}  // namespace shmq::cli

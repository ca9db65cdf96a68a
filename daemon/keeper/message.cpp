#include "daemon/keeper/message.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/rights.hpp"

namespace shmq::daemon {
namespace {

constexpr std::size_t descriptors_taken = 4;  // one is right; the rest is closed, not leaked

union ControlBuffer {
    cmsghdr align;
    char bytes[CMSG_SPACE(descriptors_taken * sizeof(int))];
};

}  // namespace

Notice parse_notice(std::string_view text) {
    Notice notice;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        constexpr std::string_view name = "FDNAME=";
        if (line == "FDSTORE=1") notice.store = true;
        if (line == "FDSTOREREMOVE=1") notice.remove = true;
        if (line == "READY=1") notice.ready = true;
        if (line == "STOPPING=1") notice.stopping = true;
        if (line.starts_with(name)) notice.name = line.substr(name.size());
    }
    return notice;
}

// Without FDPOLL=0 systemd would take a pidfd whose process has ended for a descriptor that died.
std::string store_text(std::string_view name) {
    return "FDSTORE=1\nFDPOLL=0\nFDNAME=" + std::string(name);
}

std::string remove_text(std::string_view name) {
    return "FDSTOREREMOVE=1\nFDNAME=" + std::string(name);
}

NoticeSent send_notice(int socket, std::string_view text, int fd) {
    iovec part{const_cast<char*>(text.data()), text.size()};
    ControlBuffer control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int));
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t count = 0;
    do {
        count = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) return NoticeSent::sent;
    switch (errno) {
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
        case ETOOMANYREFS:  // too many descriptors are on their way already
            return NoticeSent::busy;
        case EBADF:
        case EINVAL:
        case EMSGSIZE:
            return NoticeSent::refused;
        default:
            return NoticeSent::gone;
    }
}

NoticeReceived receive_notice(int socket, Notice& notice, Fd& fd) {
    char text[notice_max_bytes];
    iovec part{text, sizeof text};
    ControlBuffer control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    ssize_t count = 0;
    do {
        count = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) return NoticeReceived::nothing;
    if (count <= 0) return NoticeReceived::hung_up;
    take_descriptors(message, [&fd](Fd taken) {
        if (!fd) fd = std::move(taken);
    });
    notice = parse_notice(std::string_view(text, static_cast<std::size_t>(count)));
    return NoticeReceived::notice;
}

}  // namespace shmq::daemon

#include "wire/channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/limits.hpp"
#include "base/rights.hpp"

namespace shmq::wire {
namespace {

constexpr std::size_t read_step_bytes = std::size_t{64} << 10;

// Room for one more than a frame may carry: that one tells "too many" from "lost on the way".
constexpr std::size_t control_descriptors = limits::frame_descriptors_max + 1;
union ControlBuffer {
    cmsghdr align;
    char bytes[CMSG_SPACE(control_descriptors * sizeof(int))];
};

}  // namespace

Fd Frame::take_descriptor(std::uint64_t index) {
    if (index >= descriptors.size()) return {};
    return std::move(descriptors[index]);
}

const char* status_text(ReceiveStatus status) {
    switch (status) {
        case ReceiveStatus::frame:
            return "a whole frame";
        case ReceiveStatus::nothing_yet:
            return "nothing more has come yet";
        case ReceiveStatus::hung_up:
            return "the peer hung up";
        case ReceiveStatus::oversize:
            return "a frame longer than 1 MiB";
        case ReceiveStatus::empty:
            return "an empty frame";
        case ReceiveStatus::too_many_descriptors:
            return "more than 8 descriptors with a frame";
        case ReceiveStatus::control_truncated:
            return "descriptors lost: too many open files here";
        case ReceiveStatus::timed_out:
            return "no whole frame before the deadline";
        case ReceiveStatus::failed:
            return "receiving failed";
    }
    return "receiving failed";
}
static_assert(limits::frame_max_bytes == 1 << 20 && limits::frame_descriptors_max == 8,
              "the texts above name these limits");

const char* status_text(SendStatus status) {
    switch (status) {
        case SendStatus::sent:
            return "sent";
        case SendStatus::waiting:
            return "the peer does not read";
        case SendStatus::hung_up:
            return "the peer hung up";
        case SendStatus::oversize:
            return "a frame longer than 1 MiB";
        case SendStatus::timed_out:
            return "the peer did not read before the deadline";
        case SendStatus::failed:
            return "sending failed";
    }
    return "sending failed";
}

ReceiveStatus Channel::receive(Frame& frame) {
    while (true) {
        if (const auto status = receive_some()) {
            if (*status == ReceiveStatus::frame) {
                frame = std::exchange(incoming_, {});
                began_at_.reset();
            }
            return *status;
        }
    }
}

// The kernel hands out bytes of several sends together with the descriptors of the last of them. To
// know whose descriptors they are, look first where the frame ends, then read no further than that.
std::optional<ReceiveStatus> Channel::receive_some() {
    std::array<char, read_step_bytes> ahead;
    const ssize_t seen = ::recv(socket_.get(), ahead.data(), ahead.size(), MSG_PEEK | MSG_DONTWAIT);
    if (seen == 0) return ReceiveStatus::hung_up;
    if (seen < 0) {
        if (errno == EINTR) return std::nullopt;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return ReceiveStatus::nothing_yet;
        if (errno == ECONNRESET) return ReceiveStatus::hung_up;
        os_error_ = errno;
        return ReceiveStatus::failed;
    }
    const std::string_view text(ahead.data(), static_cast<std::size_t>(seen));
    const std::size_t end = text.find('\0');
    const std::size_t wanted = end == text.npos ? text.size() : end + 1;

    iovec part{ahead.data(), wanted};
    ControlBuffer control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_LEN(control_descriptors * sizeof(int));
    const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
        os_error_ = errno;
        return ReceiveStatus::failed;
    }
    if (got <= 0) return std::nullopt;
    if (!began_at_) began_at_ = monotonic_now();
    if (const auto status = take_control(message); status != ReceiveStatus::frame) return status;

    std::size_t count = static_cast<std::size_t>(got);
    const bool whole = ahead[count - 1] == '\0';
    if (incoming_.text.size() + count > limits::frame_max_bytes) return ReceiveStatus::oversize;
    if (whole) --count;
    incoming_.text.append(ahead.data(), count);
    // A frame of exactly the limit ends in a NUL; one that is as long without it has no room left.
    if (!whole && incoming_.text.size() == limits::frame_max_bytes) return ReceiveStatus::oversize;
    if (whole && incoming_.text.empty()) return ReceiveStatus::empty;
    if (whole) return ReceiveStatus::frame;
    return std::nullopt;
}

// Takes the descriptors that came into incoming_, all of them, so that none is left open.
// `frame` means: all is well.
ReceiveStatus Channel::take_control(msghdr& message) {
    take_descriptors(message,
                     [this](Fd taken) { incoming_.descriptors.push_back(std::move(taken)); });
    if (incoming_.descriptors.size() > limits::frame_descriptors_max) {
        return ReceiveStatus::too_many_descriptors;
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) return ReceiveStatus::control_truncated;
    return ReceiveStatus::frame;
}

SendStatus Channel::send(Frame frame) {
    if (frame.text.size() + 1 > limits::frame_max_bytes ||
        frame.descriptors.size() > limits::frame_descriptors_max) {
        return SendStatus::oversize;
    }
    outgoing_.push_back({std::move(frame), 0});
    return flush();
}

SendStatus Channel::flush() {
    while (!outgoing_.empty()) {
        const SendStatus status = send_some(outgoing_.front());
        if (status != SendStatus::sent) return status;
        if (outgoing_.front().sent_bytes > outgoing_.front().frame.text.size()) {
            outgoing_.pop_front();
        }
    }
    return SendStatus::sent;
}

// One sendmsg. `sent`: some of it went; not necessarily all.
SendStatus Channel::send_some(Outgoing& outgoing) {
    Frame& frame = outgoing.frame;
    // c_str's own terminator is the NUL of the wire.
    iovec part{const_cast<char*>(frame.text.c_str()) + outgoing.sent_bytes,
               frame.text.size() + 1 - outgoing.sent_bytes};
    ControlBuffer control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!frame.descriptors.empty()) {
        std::array<int, limits::frame_descriptors_max> numbers{};
        std::transform(frame.descriptors.begin(), frame.descriptors.end(), numbers.begin(),
                       [](const Fd& descriptor) { return descriptor.get(); });
        const std::size_t bytes = frame.descriptors.size() * sizeof(int);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(bytes);
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(bytes);
        std::memcpy(CMSG_DATA(header), numbers.data(), bytes);
    }
    ssize_t count;
    do {
        count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) {
        outgoing.sent_bytes += static_cast<std::size_t>(count);
        // They went with the first byte, and are the peer's now.
        if (count > 0) frame.descriptors.clear();
        return SendStatus::sent;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return SendStatus::waiting;
    if (errno == EPIPE || errno == ECONNRESET) return SendStatus::hung_up;
    os_error_ = errno;
    return SendStatus::failed;
}

std::size_t Channel::outgoing_bytes() const {
    std::size_t bytes = 0;
    for (const Outgoing& outgoing : outgoing_) {
        bytes += outgoing.frame.text.size() + 1 - outgoing.sent_bytes;
    }
    return bytes;
}

// False: the deadline came. Errors of poll itself end the wait; the next call finds their cause.
bool Channel::wait(short events, Nanoseconds deadline) {
    const Nanoseconds left = deadline - monotonic_now();
    if (left <= 0) return false;
    const timespec timeout{left / nanoseconds_per_second, left % nanoseconds_per_second};
    pollfd watched{socket_.get(), events, 0};
    const int ready = ::ppoll(&watched, 1, deadline == no_deadline ? nullptr : &timeout, nullptr);
    return ready != 0;
}

ReceiveStatus Channel::receive_until(Frame& frame, Nanoseconds deadline) {
    while (true) {
        const ReceiveStatus status = receive(frame);
        if (status != ReceiveStatus::nothing_yet) return status;
        if (!wait(POLLIN, deadline)) return ReceiveStatus::timed_out;
    }
}

SendStatus Channel::send_until(Frame frame, Nanoseconds deadline) {
    SendStatus status = send(std::move(frame));
    while (status == SendStatus::waiting) {
        if (!wait(POLLOUT, deadline)) return SendStatus::timed_out;
        status = flush();
    }
    return status;
}

}  // namespace shmq::wire

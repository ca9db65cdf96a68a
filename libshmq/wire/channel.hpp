// One end of a session: frames with their descriptors over a Unix stream socket. The daemon's end
// never blocks; the client's waits up to a deadline. Limits: base/limits.hpp.
//
// Not for several threads at once. The peer may send anything; whatever breaks the rules gives its
// own status, once, and the channel is of no use after that: close it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"

struct msghdr;

namespace shmq::wire {

struct Frame {
    std::string text;             // without the NUL that ends it on the wire
    std::vector<Fd> descriptors;  // close-on-exec

    // Takes descriptor `index` out; invalid if there is none, or it was taken before.
    Fd take_descriptor(std::uint64_t index);
};

enum class ReceiveStatus {
    frame,                 // a whole frame
    nothing_yet,           // the rest, or anything at all, has not come
    hung_up,               // the peer is gone; mid_frame() tells whether in the middle of a frame
    oversize,              // longer than a frame may be
    empty,                 // a NUL before any byte
    too_many_descriptors,  // more than a frame may carry
    control_truncated,     // descriptors were lost on the way in: out of descriptors here
    timed_out,             // receive_until: the deadline came first
    failed,                // a system call; os_error() says why
};

enum class SendStatus {
    sent,
    waiting,    // the rest is kept: flush() when the socket takes more
    hung_up,    // the peer is gone
    oversize,   // more than a frame may be or carry; nothing was sent, the channel stays good
    timed_out,  // send_until: the deadline came first; the rest is kept
    failed,     // a system call; os_error() says why
};

// As a log line or an Error says it: "the peer hung up".
const char* status_text(ReceiveStatus status);
const char* status_text(SendStatus status);

class Channel {
  public:
    // Takes a connected stream socket, blocking or not.
    explicit Channel(Fd socket) : socket_(std::move(socket)) {}

    int fd() const { return socket_.get(); }
    // errno of the last `failed`.
    int os_error() const { return os_error_; }

    // Reads on until one frame is whole or nothing more is there. Never blocks. At most one frame
    // a call, so that no session can fill a round: call again until `nothing_yet` before waiting
    // for the socket to become readable.
    ReceiveStatus receive(Frame& frame);
    // Whether a frame has begun and not ended, and when (monotonic): for limits::frame_time_max_ns.
    bool mid_frame() const { return began_at_.has_value(); }
    std::optional<Nanoseconds> frame_began_at() const { return began_at_; }

    // Sends what the socket takes and keeps the rest, descriptors included. Never blocks. Frames
    // leave in order. A session that does not read its answers piles them up here: ask it nothing
    // more while outgoing_bytes() is not 0.
    SendStatus send(Frame frame);
    SendStatus flush();
    std::size_t outgoing_bytes() const;

    // The same for a caller that has nothing else to do. Deadlines are monotonic.
    ReceiveStatus receive_until(Frame& frame, Nanoseconds deadline);
    SendStatus send_until(Frame frame, Nanoseconds deadline);

  private:
    struct Outgoing {
        Frame frame;
        std::size_t sent_bytes = 0;
    };

    std::optional<ReceiveStatus> receive_some();
    ReceiveStatus take_control(msghdr& message);
    SendStatus send_some(Outgoing& outgoing);
    bool wait(short events, Nanoseconds deadline);

    Fd socket_;
    Frame incoming_;
    std::optional<Nanoseconds> began_at_;
    std::deque<Outgoing> outgoing_;
    int os_error_ = 0;
};

}  // namespace shmq::wire

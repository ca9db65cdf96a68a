// What the kernel offers between two processes: a pipe, and Unix sockets of both kinds. Made before
// the roles are forked, so that all of them have both ends.
//
//   pipe        as large as it may be
//   stream      a Unix stream socket, messages of one size one after the other
//   seqpacket   a Unix socket that keeps messages apart
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

constexpr int buffer_bytes = 1 << 20;

struct Descriptors {
    explicit Descriptors(const Case& of) : one(of) {
        for (auto& lane : lanes) {
            if (one.is("pipe")) {
                if (::pipe2(lane, O_CLOEXEC) != 0) die_of_errno("pipe");
                std::swap(lane[0], lane[1]);  // [0] is written to
                ::fcntl(lane[0], F_SETPIPE_SZ, buffer_bytes);
            } else {
                const int type = one.is("seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
                if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, lane) != 0)
                    die_of_errno("socketpair");
                // Of what the writer may have under way; twice the largest message where allowed.
                const int bytes = std::max(buffer_bytes, static_cast<int>(2 * one.size));
                if (::setsockopt(lane[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
                    ::setsockopt(lane[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
            }
            if (!one.spin) continue;
            for (const int fd : lane)
                ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
        }
    }

    // Calls `step(done)` until all is passed; it returns what write or read do.
    template <typename Step>
    static void whole(std::size_t size, const char* what, Step step) {
        for (std::size_t done = 0; done < size;) {
            const ssize_t count = step(done);
            if (count > 0)
                done += static_cast<std::size_t>(count);
            else if (count == 0)
                die(std::string(what) + ": the other side has gone");
            else if (errno != EAGAIN && errno != EINTR)
                die_of_errno(what);
        }
    }

    struct Sender {
        Sender(Descriptors& all, Place place) : fd(all.lanes[place.lane][0]) {}
        void send(Bytes payload) {
            whole(payload.size(), "write", [&](std::size_t done) {
                return ::write(fd, payload.data() + done, payload.size() - done);
            });
        }
        void flush() {}
        int fd;
    };

    struct Receiver {
        Receiver(Descriptors& all, Place place) : fd(all.lanes[place.lane][1]) {}
        void receive(Room into) {
            whole(into.size(), "read", [&](std::size_t done) {
                return ::read(fd, into.data() + done, into.size() - done);
            });
        }
        int fd;
    };

    Case one;
    int lanes[2][2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Descriptors>(count, arguments);
}

// beanstalkd over its Unix socket: puts in pipelines, many reserves under way, each job deleted by
// its own command. A message counts as sent when its put is answered; what that means the server's
// options say (servers.py).
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;

class Connection {
  public:
    explicit Connection(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            die_of_errno("beanstalkd does not answer");
    }
    ~Connection() { ::close(fd_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void say(std::string_view text) { out_ += text; }
    std::size_t unsaid() const { return out_.size(); }
    void flush() {
        for (std::size_t done = 0; done < out_.size();) {
            const ssize_t count = ::write(fd_, out_.data() + done, out_.size() - done);
            if (count < 0) die_of_errno("write");
            done += static_cast<std::size_t>(count);
        }
        out_.clear();
    }
    // The next line, without its end.
    std::string_view line() {
        for (;;) {
            const auto end = in_.find("\r\n", begin_);
            if (end != in_.npos) {
                const std::string_view found(in_.data() + begin_, end - begin_);
                begin_ = end + 2;
                return found;
            }
            more();
        }
    }
    // So many bytes, and the end of a line behind them.
    void bytes(Room into) {
        while (in_.size() - begin_ < into.size() + 2)
            more();
        std::memcpy(into.data(), in_.data() + begin_, into.size());
        begin_ += into.size() + 2;
    }

  private:
    void more() {
        flush();
        in_.erase(0, begin_);
        begin_ = 0;
        const std::size_t had = in_.size();
        in_.resize(had + buffer_bytes);
        const ssize_t count = ::read(fd_, in_.data() + had, buffer_bytes);
        if (count <= 0) die("beanstalkd has gone");
        in_.resize(had + static_cast<std::size_t>(count));
    }

    int fd_;
    std::string out_;
    std::string in_;
    std::size_t begin_ = 0;
};

struct Beanstalkd {
    explicit Beanstalkd(const Case& of) : one(of), tube(own_name("tube", 0)) {}

    struct Sender {
        Sender(Beanstalkd& all, Place) : one(all.one), connection(one.server) {
            connection.say("use " + all.tube + "\r\n");
            connection.line();
        }
        void send(Bytes payload) {
            connection.say("put 0 0 60 " + std::to_string(payload.size()) + "\r\n");
            connection.say({reinterpret_cast<const char*>(payload.data()), payload.size()});
            connection.say("\r\n");
            if (++unanswered >= one.window) flush();
        }
        void flush() {
            for (; unanswered > 0; --unanswered)
                if (!connection.line().starts_with("INSERTED")) die("beanstalkd refused a put");
        }
        Case one;
        Connection connection;
        unsigned unanswered = 0;
    };

    struct Receiver {
        Receiver(Beanstalkd& all, Place) : one(all.one), connection(one.server) {
            connection.say("watch " + all.tube + "\r\nignore default\r\n");
            connection.line();
            connection.line();
            for (unsigned i = 0; i < std::min(one.window, 64u); ++i)
                connection.say("reserve\r\n");
        }
        void receive(Room into) {
            for (;;) {
                const std::string answer(connection.line());
                if (answer == "DELETED") continue;
                if (!answer.starts_with("RESERVED ")) die("beanstalkd says " + answer);
                const std::string id = answer.substr(9, answer.find(' ', 9) - 9);
                connection.bytes(into);
                connection.say("delete " + id + "\r\nreserve\r\n");
                return;
            }
        }
        Case one;
        Connection connection;
    };

    Case one;
    std::string tube;
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Beanstalkd>(count, arguments);
}

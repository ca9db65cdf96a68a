// Whatever a peer sends, its session ends at worst; the daemon serves the next one.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <random>

#include "unit/daemon/harness.hpp"

namespace shmq::daemon::test {
namespace {

namespace method = wire::method;

class DaemonFrames : public OnBothLoops {
  protected:
    void expect_alive() {
        GreetedClient client(path_);
        EXPECT_EQ(client.call(method::list).error, "");
    }
    // The daemon closes the session, without an answer.
    void expect_closed(Client& client) { EXPECT_FALSE(client.receive().has_value()); }
};
SHMQ_ON_BOTH_LOOPS(DaemonFrames);

TEST_P(DaemonFrames, what_is_no_call_ends_the_session) {
    start();
    const std::string texts[] = {"garbage",
                                 "[]",
                                 "1",
                                 "null",
                                 "{}",
                                 "{\"parameters\": {}}",
                                 "{\"method\": 5}",
                                 "\xff\xfe\n",
                                 "{\"method\": \"io.shmq.Control.List\"",
                                 std::string(100'000, '[')};
    for (const std::string& text : texts) {
        GreetedClient client(path_);
        client.send_text(text);
        expect_closed(client);
    }
    Client empty(path_);
    ASSERT_EQ(::send(empty.fd(), "", 1, MSG_NOSIGNAL), 1);
    expect_closed(empty);
    expect_alive();
}

TEST_P(DaemonFrames, parameters_that_are_no_object_are_refused) {
    start();
    GreetedClient client(path_);
    for (const char* parameters : {"[]", "5", "\"x\"", "{\"name\": null, \"options\": {}}"}) {
        client.send_text(std::string("{\"method\": \"io.shmq.Control.Create\", \"parameters\": ") +
                         parameters + "}");
        const auto answer = client.receive();
        ASSERT_TRUE(answer.has_value()) << parameters;
        EXPECT_EQ(answer->error, wire::error::invalid_parameter) << parameters;
    }
}

TEST_P(DaemonFrames, an_oversized_frame_ends_the_session) {
    start();
    Client client(path_);
    const std::string block(1 << 16, ' ');
    std::size_t sent = 0;
    while (sent <= limits::frame_max_bytes + block.size()) {
        const ssize_t count = ::send(client.fd(), block.data(), block.size(), MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += static_cast<std::size_t>(count);
    }
    expect_closed(client);
    expect_alive();
}

TEST_P(DaemonFrames, a_frame_of_the_largest_size_is_answered) {
    start();
    GreetedClient client(path_);
    std::string text = wire::call_text({.method = std::string(method::list)});
    text += std::string(limits::frame_max_bytes - 1 - text.size(), ' ');
    client.send_text(std::move(text));
    const auto answer = client.receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->error, "");
}

TEST_P(DaemonFrames, a_slow_frame_ends_the_session_and_a_slow_session_does_not) {
    Options chosen = options();
    chosen.frame_time_max_ns = 50 * nanoseconds_per_millisecond;
    start(chosen);
    GreetedClient idle(path_);
    Client slow(path_);
    ASSERT_EQ(::send(slow.fd(), "{", 1, MSG_NOSIGNAL), 1);
    expect_closed(slow);
    EXPECT_EQ(idle.call(method::list).error, "") << "it had nothing begun";
    expect_alive();
}

TEST_P(DaemonFrames, a_frame_in_pieces_is_one_frame) {
    start();
    GreetedClient client(path_);
    const std::string text = wire::call_text({.method = std::string(method::list)});
    for (const char c : text)
        ASSERT_EQ(::send(client.fd(), &c, 1, MSG_NOSIGNAL), 1);
    ASSERT_EQ(::send(client.fd(), "", 1, MSG_NOSIGNAL), 1);
    const auto answer = client.receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->error, "");
}

TEST_P(DaemonFrames, a_truncated_frame_is_a_hang_up) {
    start();
    {
        Client client(path_);
        ASSERT_EQ(::send(client.fd(), "{\"method\"", 9, MSG_NOSIGNAL), 9);
    }
    expect_alive();
}

TEST_P(DaemonFrames, many_calls_at_once_are_answered_in_order) {
    start();
    GreetedClient client(path_);
    std::string text;
    constexpr int calls = 200;
    for (int i = 0; i < calls; ++i) {
        text += wire::call_text({.method = std::string(method::describe),
                                 .parameters = {{"name", "q" + std::to_string(i)}}});
        if (i + 1 < calls) text += '\0';
    }
    client.send_text(text);
    for (int i = 0; i < calls; ++i) {
        const auto answer = client.receive();
        ASSERT_TRUE(answer.has_value());
        EXPECT_EQ(answer->parameters["name"], "q" + std::to_string(i));
    }
}

// Calls whose answers nobody reads fill the socket; the daemon stops reading from that session and
// goes on with it when the answers are taken.
TEST_P(DaemonFrames, a_session_that_does_not_read_keeps_nobody_waiting) {
    start();
    GreetedClient client(path_);
    const std::string text =
        wire::call_text({.method = std::string(method::get_interface_description),
                         .parameters = {{"interface", wire::interface_name}}}) +
        '\0';
    int asked = 0;
    ASSERT_EQ(::fcntl(client.fd(), F_SETFL, O_NONBLOCK), 0);
    int quiet = 0;
    while (quiet < 20) {  // until the daemon has taken no more for a while
        if (::send(client.fd(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
            static_cast<ssize_t>(text.size())) {
            ++asked;
            quiet = 0;
            continue;
        }
        ASSERT_EQ(errno, EAGAIN);
        ++quiet;
        expect_alive();
    }
    for (int i = 0; i < asked; ++i) {
        const auto answer = client.receive();
        ASSERT_TRUE(answer.has_value()) << i;
        ASSERT_EQ(answer->parameters["description"], wire::interface_description) << i;
    }
}

TEST_P(DaemonFrames, too_many_descriptors_end_the_session_and_unasked_ones_are_closed) {
    start();
    const auto descriptors = [](const Fd& fd, std::size_t count) {
        std::vector<int> numbers(count, fd.get());
        return numbers;
    };
    const auto send_with = [](Client& client, const std::vector<int>& numbers) {
        const std::string text = wire::call_text({.method = std::string(method::list)});
        iovec part{const_cast<char*>(text.c_str()), text.size() + 1};
        alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(numbers.size() * sizeof(int));
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
        std::memcpy(CMSG_DATA(header), numbers.data(), numbers.size() * sizeof(int));
        EXPECT_GT(::sendmsg(client.fd(), &message, MSG_NOSIGNAL), 0);
    };
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    GreetedClient good(path_);
    send_with(good, descriptors(writer, limits::frame_descriptors_max));
    EXPECT_EQ(good.receive()->error, "");
    GreetedClient bad(path_);
    send_with(bad, descriptors(writer, limits::frame_descriptors_max + 1));
    expect_closed(bad);
    GreetedClient worse(path_);
    send_with(worse, descriptors(writer, 60));
    expect_closed(worse);
    // Nobody holds the pipe's other end any more, the daemon included.
    writer.reset();
    pollfd watched{reader.get(), 0, 0};
    EXPECT_EQ(::poll(&watched, 1, 20'000), 1);
    expect_alive();
}

// Seeded, so that a failure can be replayed: SHMQ_TEST_SEED.
TEST_P(DaemonFrames, random_bytes_and_mutated_calls_do_no_harm) {
    start();
    const char* given = std::getenv("SHMQ_TEST_SEED");
    const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 0))
                                           : std::random_device()();
    SCOPED_TRACE("SHMQ_TEST_SEED=" + std::to_string(seed));
    std::mt19937 random(seed);
    const std::string sound = wire::call_text(
        {.method = std::string(method::create),
         .parameters = {{"name", "q"}, {"options", {{"capacity", 64}, {"mode", 448}}}}});
    for (int round = 0; round < 300; ++round) {
        Client client(path_);
        client.hello();
        std::string text = sound;
        for (int change = 0; change < 3; ++change) {
            text[random() % text.size()] = static_cast<char>(random() % 255 + 1);
        }
        client.send_text(std::move(text));
        client.receive();  // an answer or the end, both are right
    }
    expect_alive();
}

}  // namespace
}  // namespace shmq::daemon::test

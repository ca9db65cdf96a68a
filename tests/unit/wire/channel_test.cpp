#include "wire/channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/limits.hpp"

namespace shmq::wire {
namespace {

constexpr Nanoseconds watchdog_ns = 20 * nanoseconds_per_second;

Nanoseconds soon() {
    return deadline_after(monotonic_now(), watchdog_ns);
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

// A pipe's read end and a way to know it again on the other side.
struct Marked {
    Fd read;
    Fd write;
    ino_t inode = 0;

    Marked() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        read = Fd(ends[0]);
        write = Fd(ends[1]);
        inode = inode_of(read);
    }
    static ino_t inode_of(const Fd& descriptor) {
        struct stat status {};
        EXPECT_EQ(::fstat(descriptor.get(), &status), 0);
        return status.st_ino;
    }
};

class ChannelTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        peer_ = Fd(ends[0]);
        channel_.emplace(Fd(ends[1]));
    }

    // As a peer that frames by hand: any bytes, any descriptors, one sendmsg.
    void send_raw(std::string_view bytes, const std::vector<int>& descriptors = {}) {
        iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
        if (!descriptors.empty()) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
            std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
        }
        ASSERT_EQ(::sendmsg(peer_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT),
                  static_cast<ssize_t>(bytes.size()));
    }

    // What the next frame is, or an empty string and a failed expectation.
    Frame expect_frame() {
        Frame frame;
        EXPECT_EQ(channel_->receive(frame), ReceiveStatus::frame);
        return frame;
    }

    Fd peer_;
    std::optional<Channel> channel_;
    Frame frame_;
};

using namespace std::string_literals;

TEST_F(ChannelTest, AFrameMayComeByteByByte) {
    const std::string text = R"({"method":"io.shmq.Control.List"})"s + '\0';
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::nothing_yet);
    EXPECT_FALSE(channel_->mid_frame());
    for (std::size_t index = 0; index + 1 < text.size(); ++index) {
        send_raw({&text[index], 1});
        ASSERT_EQ(channel_->receive(frame_), ReceiveStatus::nothing_yet) << index;
        ASSERT_TRUE(channel_->mid_frame());
    }
    const auto began_at = channel_->frame_began_at();
    ASSERT_TRUE(began_at);
    EXPECT_LE(*began_at, monotonic_now());
    send_raw({&text.back(), 1});
    EXPECT_EQ(expect_frame().text + '\0', text);
    EXPECT_FALSE(channel_->mid_frame());
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::nothing_yet);
}

TEST_F(ChannelTest, AFrameSplitInTwoAtEveryByteIsWhole) {
    const std::string text = "one\0two\0"s;
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
        std::vector<std::string> frames;
        for (const std::string& piece : {text.substr(0, cut), text.substr(cut)}) {
            send_raw(piece);
            while (channel_->receive(frame_) == ReceiveStatus::frame) {
                frames.push_back(frame_.text);
            }
        }
        ASSERT_EQ(frames, (std::vector<std::string>{"one", "two"})) << cut;
    }
}

TEST_F(ChannelTest, EachReceiveGivesOneFrameOfSeveral) {
    send_raw("one\0two\0thr"s);
    EXPECT_EQ(expect_frame().text, "one");
    EXPECT_EQ(expect_frame().text, "two");
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::nothing_yet);
    EXPECT_TRUE(channel_->mid_frame());
}

TEST_F(ChannelTest, DescriptorsComeWithTheirOwnFrame) {
    const Marked first;
    const Marked second;
    send_raw("none\0"s);
    send_raw("first\0none\0"s, {first.read.get()});
    send_raw("none\0"s);
    send_raw("second\0"s, {second.read.get(), first.read.get()});
    send_raw("none\0"s);

    EXPECT_TRUE(expect_frame().descriptors.empty());
    Frame frame = expect_frame();
    EXPECT_EQ(frame.text, "first");
    ASSERT_EQ(frame.descriptors.size(), 1u);
    EXPECT_EQ(Marked::inode_of(frame.descriptors[0]), first.inode);
    EXPECT_TRUE(expect_frame().descriptors.empty());
    EXPECT_TRUE(expect_frame().descriptors.empty());
    frame = expect_frame();
    EXPECT_EQ(frame.text, "second");
    ASSERT_EQ(frame.descriptors.size(), 2u);
    EXPECT_EQ(Marked::inode_of(frame.descriptors[0]), second.inode);
    EXPECT_EQ(Marked::inode_of(frame.descriptors[1]), first.inode);
    EXPECT_TRUE(expect_frame().descriptors.empty());
}

TEST_F(ChannelTest, DescriptorsOfALongFrameComeWithItAndNotWithTheNext) {
    const Marked marked;
    Channel sender(peer_.duplicate());
    Frame outgoing;
    outgoing.text = std::string(700'000, 'x');
    outgoing.descriptors.push_back(marked.read.duplicate());
    SendStatus status = sender.send(std::move(outgoing));
    Frame next;
    next.text = "next";
    sender.send(std::move(next));
    std::vector<Frame> frames;
    while (frames.size() < 2) {
        const ReceiveStatus received = channel_->receive(frame_);
        if (received == ReceiveStatus::frame) {
            frames.push_back(std::move(frame_));
            continue;
        }
        ASSERT_EQ(received, ReceiveStatus::nothing_yet);
        ASSERT_EQ(status, SendStatus::waiting) << "everything was sent and has not come";
        status = sender.flush();
    }
    EXPECT_EQ(status, SendStatus::sent);
    EXPECT_EQ(frames[0].text.size(), 700'000u);
    ASSERT_EQ(frames[0].descriptors.size(), 1u);
    EXPECT_EQ(Marked::inode_of(frames[0].descriptors[0]), marked.inode);
    EXPECT_EQ(frames[1].text, "next");
    EXPECT_TRUE(frames[1].descriptors.empty());
}

TEST_F(ChannelTest, DescriptorsAreCloseOnExec) {
    const Marked marked;
    send_raw("x\0"s, {marked.read.get()});
    const Frame frame = expect_frame();
    ASSERT_EQ(frame.descriptors.size(), 1u);
    EXPECT_NE(::fcntl(frame.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ChannelTest, ADescriptorIsTakenOnce) {
    const Marked marked;
    send_raw("x\0"s, {marked.read.get()});
    Frame frame = expect_frame();
    EXPECT_FALSE(frame.take_descriptor(1));
    EXPECT_FALSE(frame.take_descriptor(UINT64_MAX));
    EXPECT_TRUE(frame.take_descriptor(0));
    EXPECT_FALSE(frame.take_descriptor(0));
}

TEST_F(ChannelTest, AsManyDescriptorsAsAllowedAreFine) {
    const Marked marked;
    send_raw("x\0"s, std::vector<int>(limits::frame_descriptors_max, marked.read.get()));
    EXPECT_EQ(expect_frame().descriptors.size(), limits::frame_descriptors_max);
}

TEST_F(ChannelTest, TooManyDescriptorsAreRefusedAndNoneLeaks) {
    const Marked marked;
    for (const std::size_t count : {std::size_t{9}, std::size_t{10}, std::size_t{200}}) {
        SetUp();
        const std::size_t before = open_descriptors();
        send_raw("x\0"s, std::vector<int>(count, marked.read.get()));
        EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::too_many_descriptors) << count;
        channel_.reset();
        EXPECT_EQ(open_descriptors(), before - 1) << count;  // less the channel's own
    }
}

TEST_F(ChannelTest, TooManyDescriptorsInPiecesOfOneFrameAreRefused) {
    const Marked marked;
    send_raw("x"s, std::vector<int>(5, marked.read.get()));
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::nothing_yet);
    send_raw("y\0"s, std::vector<int>(5, marked.read.get()));
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::too_many_descriptors);
}

TEST_F(ChannelTest, DescriptorsLostForWantOfRoomAreNoticed) {
    const Marked marked;
    send_raw("x\0"s, {marked.read.get(), marked.read.get()});
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const Fd lowest_free = marked.read.duplicate();
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + 1;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const ReceiveStatus status = channel_->receive(frame_);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(status, ReceiveStatus::control_truncated);
}

// Feeds `bytes` through the socket's small buffer, receiving in between.
ReceiveStatus feed(Channel& channel, int peer, std::string_view bytes, Frame& frame) {
    while (true) {
        if (!bytes.empty()) {
            const ssize_t count =
                ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        const ReceiveStatus status = channel.receive(frame);
        if (status != ReceiveStatus::nothing_yet || bytes.empty()) return status;
    }
}

TEST_F(ChannelTest, AFrameOfExactlyTheLimitIsFine) {
    const std::string text = std::string(limits::frame_max_bytes - 1, 'x') + '\0';
    ASSERT_EQ(feed(*channel_, peer_.get(), text, frame_), ReceiveStatus::frame);
    EXPECT_EQ(frame_.text.size(), limits::frame_max_bytes - 1);
}

TEST_F(ChannelTest, OneByteMoreIsOversize) {
    const std::string text = std::string(limits::frame_max_bytes, 'x') + '\0';
    EXPECT_EQ(feed(*channel_, peer_.get(), text, frame_), ReceiveStatus::oversize);
}

TEST_F(ChannelTest, AnEndlessFrameIsOversizeBeforeItEnds) {
    const std::string text(limits::frame_max_bytes, 'x');
    EXPECT_EQ(feed(*channel_, peer_.get(), text, frame_), ReceiveStatus::oversize);
}

TEST_F(ChannelTest, AnEmptyFrameIsRefused) {
    send_raw("one\0\0"s);
    EXPECT_EQ(expect_frame().text, "one");
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::empty);
}

TEST_F(ChannelTest, HangUpsBetweenAndInsideFramesDiffer) {
    send_raw("whole\0"s);
    peer_.reset();
    EXPECT_EQ(expect_frame().text, "whole");
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::hung_up);
    EXPECT_FALSE(channel_->mid_frame());

    SetUp();
    send_raw("hal"s);
    peer_.reset();
    EXPECT_EQ(channel_->receive(frame_), ReceiveStatus::hung_up);
    EXPECT_TRUE(channel_->mid_frame());
}

TEST_F(ChannelTest, SendingToWhoHungUpIsNoSignal) {
    peer_.reset();
    Frame frame;
    frame.text = "x";
    EXPECT_EQ(channel_->send(std::move(frame)), SendStatus::hung_up);
}

TEST_F(ChannelTest, AnOversizeFrameIsNotSentAndHarmsNothing) {
    Frame frame;
    frame.text = std::string(limits::frame_max_bytes, 'x');
    EXPECT_EQ(channel_->send(std::move(frame)), SendStatus::oversize);
    EXPECT_EQ(channel_->outgoing_bytes(), 0u);
    Frame small;
    small.text = "x";
    EXPECT_EQ(channel_->send(std::move(small)), SendStatus::sent);
    std::array<char, 8> buffer{};
    EXPECT_EQ(::recv(peer_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT), 2);
}

TEST_F(ChannelTest, WhatThePeerDoesNotReadWaitsInOrder) {
    const Marked marked;
    Channel reader(std::move(peer_));
    std::size_t sent = 0;
    SendStatus status = SendStatus::sent;
    while (status == SendStatus::sent) {
        Frame frame;
        frame.text = std::to_string(sent) + std::string(50'000, '.');
        frame.descriptors.push_back(marked.read.duplicate());
        status = channel_->send(std::move(frame));
        ++sent;
    }
    ASSERT_EQ(status, SendStatus::waiting);
    EXPECT_GT(channel_->outgoing_bytes(), 0u);
    for (std::size_t index = 0; index < sent; ++index) {
        Frame frame;
        ReceiveStatus received = reader.receive(frame);
        while (received == ReceiveStatus::nothing_yet) {
            ASSERT_GT(channel_->outgoing_bytes(), 0u) << "frame " << index << " was lost";
            channel_->flush();
            received = reader.receive(frame);
        }
        ASSERT_EQ(received, ReceiveStatus::frame);
        EXPECT_EQ(frame.text.substr(0, frame.text.find('.')), std::to_string(index));
        ASSERT_EQ(frame.descriptors.size(), 1u);
        EXPECT_EQ(Marked::inode_of(frame.descriptors[0]), marked.inode);
    }
    EXPECT_EQ(channel_->flush(), SendStatus::sent);
    EXPECT_EQ(channel_->outgoing_bytes(), 0u);
}

TEST_F(ChannelTest, WaitingEndsWithTheDeadline) {
    const Nanoseconds past = monotonic_now();
    EXPECT_EQ(channel_->receive_until(frame_, past), ReceiveStatus::timed_out);
    SendStatus status = SendStatus::sent;
    while (status == SendStatus::sent) {
        Frame frame;
        frame.text = std::string(100'000, '.');
        status = channel_->send_until(std::move(frame), past);
    }
    EXPECT_EQ(status, SendStatus::timed_out);
}

TEST_F(ChannelTest, WaitingEndsWithWhatIsWaitedFor) {
    Channel other(std::move(peer_));
    Frame frame;
    frame.text = "x";
    EXPECT_EQ(other.send_until(std::move(frame), soon()), SendStatus::sent);
    ASSERT_EQ(channel_->receive_until(frame_, soon()), ReceiveStatus::frame);
    EXPECT_EQ(frame_.text, "x");
}

}  // namespace
}  // namespace shmq::wire

// What shmq leans on, asked of the running kernel: each test is a promise that, broken, would break
// a promise of ours.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>

#include "base/fd.hpp"

namespace shmq {
namespace {

constexpr int watchdog_ms = 20'000;

Fd open_pidfd(pid_t pid) {
    return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

bool becomes_readable(const Fd& fd, int wait_ms = watchdog_ms) {
    pollfd watched{fd.get(), POLLIN, 0};
    return ::poll(&watched, 1, wait_ms) == 1;
}

// A child that runs `body` and then waits to be killed.
template <typename Body>
pid_t start_child(Body body) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no test leaves one behind
    body();
    for (;;)
        ::pause();
}

void end_child(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

void send_descriptor(int socket, int fd) {
    char byte = 'x';
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

Fd receive_descriptor(int socket) {
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return Fd();
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr) return Fd();
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return Fd(fd);
}

struct SocketPair {
    SocketPair() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ours.reset(ends[0]);
        theirs.reset(ends[1]);
    }
    Fd ours;
    Fd theirs;
};

Fd make_segment(std::size_t bytes) {
    Fd fd(::memfd_create("kernel-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_TRUE(fd);
    EXPECT_EQ(::fchmod(fd.get(), 0600), 0);
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    return fd;
}

std::atomic<std::uint32_t>* map_word(const Fd& fd) {
    void* address = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    EXPECT_NE(address, MAP_FAILED);
    return static_cast<std::atomic<std::uint32_t>*>(address);
}

TEST(KernelPidfd, becomes_readable_when_the_process_ends_and_not_before) {
    const pid_t pid = start_child([] {});
    const Fd pidfd = open_pidfd(pid);
    ASSERT_TRUE(pidfd);
    EXPECT_FALSE(becomes_readable(pidfd, 0));
    ::kill(pid, SIGSTOP);
    EXPECT_FALSE(becomes_readable(pidfd, 10)) << "stopped is not dead";
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(becomes_readable(pidfd));
    ::waitpid(pid, nullptr, 0);
    EXPECT_TRUE(becomes_readable(pidfd)) << "after it was reaped, too";
}

// The daemon is nobody's parent.
TEST(KernelPidfd, tells_of_a_process_that_is_no_child_and_travels_over_a_socket) {
    SocketPair pair;
    const pid_t middle = start_child([&] {
        start_child([&] { send_descriptor(pair.theirs.get(), open_pidfd(::getpid()).get()); });
    });
    const Fd pidfd = receive_descriptor(pair.ours.get());
    ASSERT_TRUE(pidfd);
    EXPECT_NE(::fcntl(pidfd.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_FALSE(becomes_readable(pidfd, 0));
    ASSERT_EQ(::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0), 0);
    EXPECT_TRUE(becomes_readable(pidfd));
    end_child(middle);
}

TEST(KernelPidfd, survives_exec) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t pid = start_child([] { ::execlp("sleep", "sleep", "1000", nullptr); });
    const Fd pidfd = open_pidfd(pid);
    writer.reset();
    EXPECT_TRUE(becomes_readable(reader)) << "its descriptors close with exec";
    EXPECT_FALSE(becomes_readable(pidfd, 0)) << "the process goes on";
    end_child(pid);
    EXPECT_TRUE(becomes_readable(pidfd));
}

TEST(KernelPidfd, fdinfo_names_its_process) {
    const Fd pidfd = open_pidfd(::getpid());
    Fd info(::open(("/proc/self/fdinfo/" + std::to_string(pidfd.get())).c_str(), O_RDONLY));
    char text[4096] = {};
    ASSERT_GT(::read(info.get(), text, sizeof(text) - 1), 0);
    EXPECT_NE(std::string(text).find("\nPid:\t" + std::to_string(::getpid()) + "\n"),
              std::string::npos)
        << text;
}

TEST(KernelSocket, credentials_are_those_of_the_connect) {
    SocketPair pair;
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    ASSERT_EQ(::getsockopt(pair.ours.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length), 0);
    EXPECT_EQ(credentials.pid, ::getpid());
    EXPECT_EQ(credentials.uid, ::geteuid());
    EXPECT_EQ(credentials.gid, ::getegid());
}

TEST(KernelMemfd, sealed_it_keeps_its_size_and_its_seals) {
    const Fd fd = make_segment(8192);
    EXPECT_EQ(::ftruncate(fd.get(), 4096), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(fd.get(), 16384), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0)
        << "pages can still be given back";
}

TEST(KernelMemfd, a_read_only_descriptor_gives_no_writable_mapping) {
    const Fd fd = make_segment(4096);
    const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
    const Fd read_only(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(read_only);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, read_only.get(), 0),
              MAP_FAILED);
    void* readable = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, read_only.get(), 0);
    ASSERT_NE(readable, MAP_FAILED);
    EXPECT_EQ(::mprotect(readable, 4096, PROT_READ | PROT_WRITE), -1);
    EXPECT_GE(::fcntl(read_only.get(), F_GET_SEALS), 0) << "its seals can be read";
    auto* word = map_word(fd);
    word->store(7);
    EXPECT_EQ(*static_cast<const std::uint32_t*>(readable), 7u);
    ::munmap(word, 4096);
    ::munmap(readable, 4096);
}

// A memfd is born 0777: without fchmod the second open would succeed.
TEST(KernelMemfd, another_user_cannot_reopen_it_for_writing) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    const Fd fd = make_segment(4096);
    const Fd read_only(
        ::open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY | O_CLOEXEC));
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) {
            ::_exit(99);
        }
        const std::string path = "/proc/self/fd/" + std::to_string(read_only.get());
        const int reopened = ::open(path.c_str(), O_RDWR);
        ::_exit(reopened >= 0 ? 1 : errno == EACCES ? 0 : 2);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(KernelMemory, dontfork_keeps_a_mapping_from_children) {
    const Fd fd = make_segment(4096);
    auto* word = map_word(fd);
    word->store(1);
    ASSERT_EQ(::madvise(word, 4096, MADV_DONTFORK), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::signal(SIGSEGV, SIG_DFL);
        ::_exit(static_cast<int>(word->load()));
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << "the child could read it";
    ::munmap(word, 4096);
}

long futex(std::atomic<std::uint32_t>* word, int operation, std::uint32_t value,
           const timespec* timeout) {
    return ::syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

// Two mappings of one memfd in two processes are one futex.
TEST(KernelFutex, wakes_across_processes_through_a_memfd) {
    const Fd fd = make_segment(4096);
    auto* word = map_word(fd);
    const pid_t pid = ::fork();
    if (pid == 0) {
        auto* same = map_word(fd);
        const timespec wait{20, 0};
        long result = 0;
        do {
            result = futex(same, FUTEX_WAIT, 0, &wait);
        } while (result != 0 && errno == EINTR);
        ::_exit(result == 0 ? 0 : errno == EAGAIN ? 3 : 1);
    }
    long woken = 0;
    for (int tries = 0; woken == 0 && tries < 20'000; ++tries) {
        woken = futex(word, FUTEX_WAKE, INT32_MAX, nullptr);
        if (woken == 0) ::usleep(1000);
    }
    EXPECT_EQ(woken, 1);
    int status = 0;
    ::waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    word->store(5);
    EXPECT_EQ(futex(word, FUTEX_WAIT, 4, nullptr), -1);
    EXPECT_EQ(errno, EAGAIN) << "a word that has moved does not put to sleep";
    ::munmap(word, 4096);
}

TEST(KernelMembarrier, a_registered_process_may_use_the_global_expedited_barrier) {
    const long supported = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (supported < 0) GTEST_SKIP() << "membarrier is refused here; segments then say `fenced`";
    EXPECT_NE(supported & MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0);
    EXPECT_NE(supported & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0);
    EXPECT_EQ(::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0), 0);
    EXPECT_EQ(::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0), 0);
}

}  // namespace
}  // namespace shmq

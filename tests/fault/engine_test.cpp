// What moves the bytes, by io_uring and by plain calls: both answer the same.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <thread>

#include "base/fd.hpp"
#include "daemon/journal/engine.hpp"
#include "fault/log_rig.hpp"

namespace shmq::fault {
namespace {

using journal::Engine;
using journal::EngineChoice;

class EngineTest : public testing::TestWithParam<EngineChoice> {
  protected:
    void SetUp() override {
        std::string refusal;
        engine = Engine::create(GetParam(), refusal);
        if (engine == nullptr) GTEST_SKIP() << refusal;
        const auto folder = std::filesystem::temp_directory_path();
        file = Fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        ASSERT_TRUE(file) << "no O_TMPFILE in " << folder;
    }
    journal::Done keep(std::int64_t& result) {
        return [&result](std::int64_t answer) { result = answer; };
    }
    void run_all() {
        while (engine->run(true)) {
        }
    }
    bool readable(int wait_ms) const {
        pollfd poll{.fd = engine->descriptor(), .events = POLLIN, .revents = 0};
        return ::poll(&poll, 1, wait_ms) == 1;
    }

    std::unique_ptr<Engine> engine;
    Fd file;
};
INSTANTIATE_TEST_SUITE_P(Engines, EngineTest,
                         testing::Values(EngineChoice::uring, EngineChoice::thread),
                         [](const auto& made) {
                             return made.param == EngineChoice::uring ? "io_uring" : "thread";
                         });

constexpr std::int64_t unheard = INT64_MIN;

TEST_P(EngineTest, WhatIsWrittenIsReadAndSynced) {
    Bytes first = payload_of(1, 300'000);
    Bytes second = payload_of(2, 77);
    std::int64_t result = unheard;
    engine->write(file.get(), 100, {{first.data(), first.size()}, {second.data(), second.size()}},
                  keep(result));
    EXPECT_EQ(result, unheard);  // never inside the call
    run_all();
    EXPECT_EQ(result, 300'077);
    std::int64_t synced = unheard;
    std::int64_t all = unheard;
    engine->sync_data(file.get(), keep(synced));
    engine->sync_all(file.get(), keep(all));
    run_all();
    EXPECT_EQ(synced, 0);
    EXPECT_EQ(all, 0);
    Bytes back(400'000);
    engine->read(file.get(), 300'100, back, keep(result));
    run_all();
    EXPECT_EQ(result, 77);  // short at the end
    EXPECT_TRUE(std::equal(second.begin(), second.end(), back.begin()));
    engine->read(file.get(), 400'000, back, keep(result));
    run_all();
    EXPECT_EQ(result, 0);
}

TEST_P(EngineTest, RoomIsMadeAndErrorsAreTold) {
    std::int64_t result = unheard;
    engine->allocate(file.get(), 1 << 20, keep(result));
    run_all();
    EXPECT_EQ(result, 0);
    struct stat status {};
    ASSERT_EQ(::fstat(file.get(), &status), 0);
    EXPECT_EQ(status.st_size, 1 << 20);
    const Fd read_only(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    Bytes bytes(10);
    engine->write(read_only.get(), 0, {{bytes.data(), bytes.size()}}, keep(result));
    run_all();
    EXPECT_EQ(result, -EBADF);
    engine->sync_data(read_only.get(), keep(result));
    run_all();
    EXPECT_EQ(result, -EINVAL);
    EXPECT_FALSE(engine->run(true));
}

TEST_P(EngineTest, ItsDescriptorWakesTheLoop) {
    EXPECT_FALSE(readable(0));
    Bytes bytes(100);
    int heard = 0;
    for (int round = 0; round < 3; ++round) {
        engine->write(file.get(), 0, {{bytes.data(), bytes.size()}},
                      [&](std::int64_t) { ++heard; });
        ASSERT_TRUE(readable(60'000));
        EXPECT_TRUE(engine->run(false));
        EXPECT_EQ(heard, round + 1);
        EXPECT_FALSE(readable(0));
    }
    EXPECT_FALSE(engine->run(false));
}

// More than the ring has places.
TEST_P(EngineTest, ManyAtOnceAllComplete) {
    constexpr std::uint64_t count = 10'000;
    Bytes bytes = payload_of(3, 16);
    std::uint64_t heard = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        engine->write(file.get(), i * 16, {{bytes.data(), bytes.size()}}, [&](std::int64_t result) {
            EXPECT_EQ(result, 16);
            ++heard;
        });
    }
    EXPECT_EQ(heard, 0u);
    run_all();
    EXPECT_EQ(heard, count);
}

TEST_P(EngineTest, ACompletionMayWaitForAnother) {
    Bytes bytes(200'000);
    int heard = 0;
    const auto write = [&](journal::Done done) {
        engine->write(file.get(), 0, {{bytes.data(), bytes.size()}}, std::move(done));
    };
    for (int i = 0; i < 3; ++i) {
        write([&](std::int64_t) {
            while (heard < 2 && engine->run(true)) {
            }
            ++heard;
        });
        write([&](std::int64_t) { ++heard; });
    }
    run_all();
    EXPECT_EQ(heard, 6);
}

TEST_P(EngineTest, GoesAfterWhatIsUnderWay) {
    Bytes bytes = payload_of(4, 2'000'000);
    auto owner = std::make_shared<int>(0);
    engine->write(file.get(), 0, {{bytes.data(), bytes.size()}},
                  [owner](std::int64_t) { ++*owner; });
    engine.reset();
    EXPECT_EQ(*owner, 0);
    EXPECT_EQ(owner.use_count(), 1);
    Bytes back(bytes.size());
    EXPECT_EQ(::pread(file.get(), back.data(), back.size(), 0), 2'000'000);
    EXPECT_EQ(back, bytes);
}

// What a container's filter does: for one thread of this process.
void refuse_io_uring() {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = std::size(code), .filter = code};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(EngineChoice, WhereIoUringIsRefusedPlainCallsDo) {
    std::thread([] {
        refuse_io_uring();
        std::string refusal;
        const auto engine = Engine::create(EngineChoice::automatic, refusal);
        ASSERT_NE(engine, nullptr);
        EXPECT_STREQ(engine->name(), "thread");
        EXPECT_EQ(refusal, "io_uring: Operation not permitted");
        EXPECT_EQ(Engine::create(EngineChoice::uring, refusal), nullptr);
    }).join();
}

}  // namespace
}  // namespace shmq::fault

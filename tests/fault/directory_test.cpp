// The log on real files, and the refusals of a directory that must not be used.
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "daemon/journal/directory.hpp"
#include "daemon/journal/reader.hpp"
#include "fault/log_rig.hpp"

namespace shmq::fault {
namespace {

using journal::Directory;

using journal::Engine;
using journal::EngineChoice;

std::shared_ptr<Engine> engine_of(EngineChoice choice) {
    std::string refusal;
    return Engine::create(choice, refusal);
}

class DirectoryTest : public testing::TestWithParam<EngineChoice> {
  protected:
    DirectoryTest() : engine(engine_of(GetParam())) {
        std::string name =
            (std::filesystem::temp_directory_path() / "shmq-journal-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~DirectoryTest() override { std::filesystem::remove_all(path); }

    void SetUp() override {
        if (engine == nullptr) GTEST_SKIP() << "this system refuses io_uring";
    }
    std::unique_ptr<Directory> open() {
        auto directory = Directory::open(path, Directory::Use::write, engine);
        EXPECT_TRUE(directory.has_value()) << directory.error();
        return directory ? std::move(*directory) : nullptr;
    }
    std::string refusal() const {
        const auto directory = Directory::open(path, Directory::Use::write);
        return directory ? "" : directory.error();
    }

    std::shared_ptr<Engine> engine;
    std::string path;
};
INSTANTIATE_TEST_SUITE_P(Engines, DirectoryTest,
                         testing::Values(EngineChoice::uring, EngineChoice::thread),
                         [](const auto& made) {
                             return made.param == EngineChoice::uring ? "io_uring" : "thread";
                         });

journal::WriterOptions options_of(journal::LogKind kind) {
    journal::WriterOptions options;
    options.kind = kind;
    options.queue = queue_identity;
    options.file_bytes = 65536;
    options.random = [] { return std::uint64_t{77}; };
    options.realtime_ns = [] { return std::uint64_t{1}; };
    return options;
}

TEST_P(DirectoryTest, ALogIsWrittenAndReadBack) {
    for (const auto kind : {journal::LogKind::durable, journal::LogKind::spill}) {
        auto disk = open();
        const std::uint64_t count = 300;
        for (int successor = 0; successor < 3; ++successor) {
            auto recovered = journal::recover(*disk, &queue_identity);
            ASSERT_TRUE(recovered.has_value());
            EXPECT_EQ(recovered->live.count(), count * static_cast<std::uint64_t>(successor));
            EXPECT_TRUE(recovered->damage.empty());
            journal::Writer writer(*disk, options_of(kind), *recovered, [] {});
            std::vector<Bytes> payloads;
            for (std::uint64_t id = 0; id < count; ++id)
                payloads.push_back(payload_of(id, id * 20));
            std::uint64_t last = 0;
            for (const Bytes& payload : payloads) {
                journal::MessageRecord message;
                message.payload = payload;
                while ((last = writer.append(message)) == 0) {
                    writer.flush();
                    ASSERT_TRUE(disk->run(true));
                }
            }
            writer.flush();
            while (!writer.idle())
                ASSERT_TRUE(disk->run(true));
            EXPECT_EQ(writer.state(), journal::Writer::State::open);
            EXPECT_GE(writer.logged(), last);
            journal::Reader reader(*disk, writer, 1, [] {});
            for (std::uint64_t read = 0; read < count * (static_cast<std::uint64_t>(successor) + 1);
                 ++read) {
                const journal::Record* record = nullptr;
                while ((record = reader.peek()) == nullptr)
                    ASSERT_TRUE(disk->run(true));
                const Bytes& payload = payloads[read % count];
                EXPECT_TRUE(std::ranges::equal(record->payload, payload));
                reader.pass();
            }
            EXPECT_EQ(reader.peek(), nullptr);
        }
        disk.reset();
        std::filesystem::remove_all(path);
        std::filesystem::create_directory(path);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    }
}

TEST_P(DirectoryTest, AnotherDaemonsLockIsNamed) {
    const auto first = open();
    EXPECT_NE(refusal().find("another daemon uses it"), std::string::npos);
    EXPECT_TRUE(Directory::open(path, Directory::Use::read).has_value());
}

TEST_P(DirectoryTest, OthersMayNotWriteThere) {
    ::chmod(path.c_str(), 0770);
    EXPECT_NE(refusal().find("chmod go-w"), std::string::npos);
}

TEST_P(DirectoryTest, AnotherUsersDirectoryIsRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
    EXPECT_NE(refusal().find("belongs to uid 12345"), std::string::npos);
}

TEST_P(DirectoryTest, AMissingDirectoryIsNamed) {
    std::filesystem::remove_all(path);
    EXPECT_NE(refusal().find(path), std::string::npos);
}

}  // namespace
}  // namespace shmq::fault

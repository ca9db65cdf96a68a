#include "daemon/state_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "daemon/definition.hpp"
#include "unit/client/environment.hpp"
#include "unit/daemon/harness.hpp"

namespace shmq::daemon {
namespace {

using test::TemporaryDirectory;

const std::string one = "00112233445566778899aabbccddeeff";
const std::string other = "ff112233445566778899aabbccddeeff";

mode_t mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
}

std::string refusal_of(const std::string& path) {
    const auto opened = StateDirectory::open(path);
    EXPECT_FALSE(opened.has_value()) << path;
    if (opened) return {};
    EXPECT_NE(opened.error().find("state directory " + path + ": "), std::string::npos)
        << opened.error();
    return opened.error();
}

TEST(StateDirectory, is_made_for_its_owner_alone_and_has_no_queues_until_they_are_needed) {
    const TemporaryDirectory directory;
    const std::string path = directory / "a/b/state";
    const auto state = StateDirectory::open(path);
    ASSERT_TRUE(state.has_value()) << state.error();
    EXPECT_EQ((*state)->path(), path);
    EXPECT_EQ((*state)->warning(), "");
    EXPECT_EQ(mode_of(path), 0700u);
    EXPECT_FALSE(std::filesystem::exists(path + "/queues"));
    EXPECT_FALSE(std::filesystem::exists(path + "/probe"));
    EXPECT_TRUE((*state)->queues()->empty());
    EXPECT_TRUE((*state)->remove_queue(one).has_value()) << "there is none";
    EXPECT_FALSE((*state)->read_definition(one).has_value());
}

TEST(StateDirectory, has_a_directory_for_each_queue) {
    const TemporaryDirectory directory;
    const std::string path = directory / "state";
    const auto state = StateDirectory::open(path);
    ASSERT_TRUE(state.has_value()) << state.error();
    const auto queue = (*state)->queue_path(other);
    ASSERT_TRUE(queue.has_value()) << queue.error();
    EXPECT_EQ(*queue, path + "/queues/" + other);
    EXPECT_EQ(mode_of(*queue), 0700u);
    EXPECT_EQ((*state)->queue_path(other), *queue) << "again";
    ASSERT_TRUE((*state)->queue_path(one).has_value());
    write_file(path + "/queues/" + std::string(32, 'x'), "no identity");
    EXPECT_EQ(*(*state)->queues(), (std::vector{one, other}));

    write_file(*queue + "/00000001-00000001.journal", "records");
    write_file(*queue + "/.hidden", "");
    ASSERT_TRUE((*state)->write_definition(other, "{}").has_value());
    ASSERT_TRUE((*state)->remove_queue(other).has_value());
    EXPECT_FALSE(std::filesystem::exists(*queue));
    EXPECT_EQ(*(*state)->queues(), std::vector{one});
}

TEST(StateDirectory, says_what_it_could_not_remove) {
    const TemporaryDirectory directory;
    const auto state = StateDirectory::open(directory / "state");
    ASSERT_TRUE(state.has_value()) << state.error();
    const auto queue = (*state)->queue_path(one);
    ASSERT_TRUE(queue.has_value());
    ASSERT_TRUE((*state)->write_definition(one, "{}").has_value());
    ASSERT_EQ(::mkdir((*queue + "/strange").c_str(), 0700), 0);
    const auto removed = (*state)->remove_queue(one);
    ASSERT_FALSE(removed.has_value());
    EXPECT_NE(removed.error().find("a removed queue's files stay"), std::string::npos);
    EXPECT_FALSE((*state)->read_definition(one).has_value()) << "nobody takes it for a queue";
}

TEST(StateDirectory, keeps_a_definition_and_replaces_it_whole) {
    const TemporaryDirectory directory;
    const std::string path = directory / "state";
    Definition definition;
    definition.name = "a/b";
    definition.identity = one;
    definition.ownership = {1, 2, 0640};
    definition.options.overflow = wire::Overflow::spill;
    definition.options.spill_limit = 1 << 30;
    definition.options.when_full = wire::WhenFull::reject;
    definition.options.durability = wire::Durability::logged;
    {
        const auto state = StateDirectory::open(path);
        ASSERT_TRUE(state.has_value()) << state.error();
        ASSERT_TRUE((*state)->write_definition(one, std::string(60000, ' ')).has_value());
        ASSERT_TRUE((*state)->write_definition(one, definition_text(definition)).has_value());
    }
    const auto state = StateDirectory::open(path);
    ASSERT_TRUE(state.has_value()) << state.error();
    const auto text = (*state)->read_definition(one);
    ASSERT_TRUE(text.has_value()) << text.error();
    const auto parsed = parse_definition(*text);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().reason;
    EXPECT_EQ(parsed->name, "a/b");
    EXPECT_EQ(parsed->identity, one);
    EXPECT_EQ(parsed->ownership.mode, 0640u);
    EXPECT_EQ(parsed->options, definition.options);
    // What a death in the middle of writing leaves beside it is not looked at.
    write_file(path + "/queues/" + one + "/definition.json~", "{");
    EXPECT_EQ(*(*state)->read_definition(one), *text);
    EXPECT_FALSE(parse_definition("{").has_value());
}

TEST(StateDirectory, has_one_daemon_at_a_time) {
    const TemporaryDirectory directory;
    const std::string path = directory / "state";
    {
        const auto state = StateDirectory::open(path);
        ASSERT_TRUE(state.has_value()) << state.error();
        const std::string refusal = refusal_of(path);
        EXPECT_NE(refusal.find("another shmqd (pid " + std::to_string(::getpid()) + ") uses it"),
                  std::string::npos)
            << refusal;
    }
    EXPECT_TRUE(StateDirectory::open(path).has_value()) << "the lock goes with the object";
}

TEST(StateDirectory, must_be_ours_alone_to_write_to) {
    const TemporaryDirectory directory;
    const std::string path = directory / "state";
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    for (const mode_t mode : {0770u, 0707u, 0722u}) {
        ASSERT_EQ(::chmod(path.c_str(), mode), 0);
        EXPECT_NE(refusal_of(path).find("chmod it to 0700"), std::string::npos);
    }
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    EXPECT_TRUE(StateDirectory::open(path).has_value()) << "others may look";
    if (::geteuid() != 0) return;
    ASSERT_EQ(::chown(path.c_str(), 4001, 0), 0);
    EXPECT_NE(refusal_of(path).find("belongs to uid 4001"), std::string::npos);
}

TEST(StateDirectory, is_a_directory_that_can_be_written_to) {
    const TemporaryDirectory directory;
    write_file(directory / "file", "");
    EXPECT_NE(refusal_of(directory / "file").find("it is no directory"), std::string::npos);
    EXPECT_NE(refusal_of(directory / "file/below").find("cannot be made"), std::string::npos);
    EXPECT_NE(refusal_of("/proc/shmq").find("cannot be made"), std::string::npos);
}

TEST(DefaultStatePath, follows_the_socket_and_the_environment) {
    const Variable no_socket("SHMQ_SOCKET", std::nullopt);
    const Variable no_manager("STATE_DIRECTORY", std::nullopt);
    const Variable runtime("XDG_RUNTIME_DIR", "/run/user/5");
    const Variable home("HOME", "/house/someone");
    const Variable state("XDG_STATE_HOME", std::nullopt);
    const bool root = ::geteuid() == 0;
    const std::string usual = root ? "/run/shmq/socket" : "/run/user/5/shmq/socket";
    const std::string own = root ? "/var/lib/shmq" : "/house/someone/.local/state/shmq";
    EXPECT_EQ(default_state_path(""), own);
    EXPECT_EQ(default_state_path(usual), own) << "clients name it when they start a daemon";
    EXPECT_EQ(default_state_path("/x/y"), "/x/y.state");
    {
        const Variable chosen("XDG_STATE_HOME", "/state");
        EXPECT_EQ(default_state_path(""), root ? own : "/state/shmq");
    }
    {
        const Variable relative("XDG_STATE_HOME", "state");
        EXPECT_EQ(default_state_path(""), own);
    }
    {
        const Variable socket("SHMQ_SOCKET", "/elsewhere/s");
        EXPECT_EQ(default_state_path(""), "/elsewhere/s.state");
    }
    // Of the service that a program runs in, which may have started a daemon for itself.
    const Variable manager("STATE_DIRECTORY", "/var/lib/given:/var/lib/other");
    EXPECT_EQ(default_state_path("/x/y"), "/x/y.state");
    EXPECT_EQ(default_state_path(""), "/var/lib/given");
}

}  // namespace
}  // namespace shmq::daemon

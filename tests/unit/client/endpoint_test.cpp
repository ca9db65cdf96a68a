#include "client/endpoint.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "unit/client/environment.hpp"
#include "unit/client/fake_daemon.hpp"

namespace shmq {
namespace {

std::vector<std::string> sockets(const Endpoints& endpoints) {
    std::vector<std::string> paths;
    for (const Endpoint& endpoint : endpoints.in_order)
        paths.push_back(endpoint.socket);
    return paths;
}

using Paths = std::vector<std::string>;

// root's own daemon is the system's, so it looks there first; everybody else at home.
Paths ordered(const std::string& own) {
    const std::string system = "/run/shmq/socket";
    return ::geteuid() == 0 ? Paths{system, own} : Paths{own, system};
}

TEST(Endpoints, ANamedSocketIsTheOnlyOne) {
    const Variable socket("SHMQ_SOCKET", "/elsewhere");
    const Endpoints endpoints = find_endpoints("/here/socket");
    EXPECT_EQ(sockets(endpoints), Paths{"/here/socket"});
    EXPECT_TRUE(endpoints.named);
}

TEST(Endpoints, ThenTheEnvironmentNamesTheOnlyOne) {
    const Variable socket("SHMQ_SOCKET", "/elsewhere/socket");
    const Endpoints endpoints = find_endpoints("");
    EXPECT_EQ(sockets(endpoints), Paths{"/elsewhere/socket"});
    EXPECT_TRUE(endpoints.named);
}

TEST(Endpoints, ElseThereAreOnesOwnAndTheSystems) {
    const Variable socket("SHMQ_SOCKET", "");
    const Variable runtime("XDG_RUNTIME_DIR", "/run/user/7");
    const Endpoints endpoints = find_endpoints("");
    EXPECT_EQ(sockets(endpoints), ordered("/run/user/7/shmq/socket"));
    EXPECT_FALSE(endpoints.named);
    for (const Endpoint& endpoint : endpoints.in_order)
        EXPECT_FALSE(endpoint.in_tmp);
}

TEST(Endpoints, WithoutARuntimeDirectoryOnesOwnIsInTmp) {
    const Variable socket("SHMQ_SOCKET", std::nullopt);
    for (const std::optional<std::string>& value :
         {std::optional<std::string>(), std::optional<std::string>("relative")}) {
        const Variable runtime("XDG_RUNTIME_DIR", value);
        const Endpoints endpoints = find_endpoints("");
        const std::string own = "/tmp/shmq-" + std::to_string(::geteuid()) + "/socket";
        EXPECT_EQ(sockets(endpoints), ordered(own));
        for (const Endpoint& endpoint : endpoints.in_order) {
            EXPECT_EQ(endpoint.in_tmp, endpoint.socket == own);
        }
    }
}

TEST(Endpoints, KnowTheirDirectory) {
    EXPECT_EQ((Endpoint{"/a/b/socket", false}.directory()), "/a/b");
    EXPECT_EQ((Endpoint{"/socket", false}.directory()), "/");
    EXPECT_EQ((Endpoint{"socket", false}.directory()), ".");
}

TEST(PrivateDirectory, MustBeOursAlone) {
    const ScratchDirectory scratch;
    const std::string path = scratch / "private";
    EXPECT_TRUE(check_private_directory(path)) << "absence is fine";
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    EXPECT_TRUE(check_private_directory(path));
    for (const mode_t mode : {0750u, 0701u, 0777u}) {
        ASSERT_EQ(::chmod(path.c_str(), mode), 0);
        const auto checked = check_private_directory(path);
        EXPECT_EQ(checked.condition(), Condition::permission_denied) << mode;
        EXPECT_NE(checked.error().message().find(path), std::string::npos);
    }
    ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
    if (::geteuid() == 0) {
        ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
        const auto checked = check_private_directory(path);
        EXPECT_EQ(checked.condition(), Condition::permission_denied);
        EXPECT_NE(checked.error().message().find("12345"), std::string::npos);
    }
}

TEST(PrivateDirectory, MustBeNoLinkAndNoFile) {
    const ScratchDirectory scratch;
    std::filesystem::create_directory(scratch / "real");
    ASSERT_EQ(::chmod((scratch / "real").c_str(), 0700), 0);
    std::filesystem::create_directory_symlink(scratch / "real", scratch / "link");
    EXPECT_EQ(check_private_directory(scratch / "link").condition(), Condition::permission_denied);
    std::ofstream(scratch / "file") << "x";
    EXPECT_EQ(check_private_directory(scratch / "file").condition(), Condition::permission_denied);
}

TEST(ConnectSocket, SaysWhyNot) {
    const ScratchDirectory scratch;
    EXPECT_EQ(connect_socket(scratch / "none", no_deadline).error(), ENOENT);
    EXPECT_EQ(connect_socket(std::string(200, 'x'), no_deadline).error(), ENAMETOOLONG);
    FakeDaemon daemon;
    EXPECT_TRUE(connect_socket(daemon.socket(), no_deadline));
    daemon.stop();
    EXPECT_EQ(connect_socket(daemon.socket(), no_deadline).error(), ECONNREFUSED);
}

}  // namespace
}  // namespace shmq

// Rights: a mode as of files, but with 4 manage, 2 produce, 1 consume. Needs root, to be somebody
// else for a while.
#include <shmq/client.hpp>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "expect.hpp"

// Another user may send to it and nothing else.
int as_somebody_else() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    auto producer = shmq::value_or_throw(client.producer("example/letterbox"));
    expect(producer.send("a letter").ok(), "others may send");
    const auto consumer = client.consumer("example/letterbox");
    expect(consumer.condition() == shmq::Condition::permission_denied, "others may not receive");
    std::printf("      %s\n", consumer.error().message().c_str());
    expect(
        client.remove("example/letterbox", true).condition() == shmq::Condition::permission_denied,
        "nor remove it");
    std::fflush(stdout);
    return 0;
}

int main() {
    if (geteuid() != 0) {
        std::printf("skipped: being two users at once takes root\n");
        return 0;
    }
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.mode = 0702;  // the owner everything, others only produce
    shmq::value_or_throw(client.declare("example/letterbox", options));

    // The tests' socket lies in a private folder; the system's in one that all may enter.
    const std::string socket = shmq::value_or_throw(client.status()).socket;
    chmod(socket.substr(0, socket.rfind('/')).c_str(), 0711);
    setenv("SHMQ_SOCKET", socket.c_str(), 1);
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        constexpr uid_t nobody = 65534;
        if (setgid(nobody) != 0 || setuid(nobody) != 0) _exit(2);
        _exit(as_somebody_else());
    }
    int status = 0;
    waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other user was held to its rights");

    auto consumer = shmq::value_or_throw(client.consumer("example/letterbox"));
    auto message = shmq::value_or_throw(consumer.receive());
    expect(message.text() == "a letter", "the owner receives");
    shmq::value_or_throw(message.ack());
    shmq::value_or_throw(client.remove("example/letterbox", true));
}

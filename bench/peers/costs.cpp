// What shmq itself costs beside its messages. Says what it has found as one line of JSON.
//
//   costs calls SOCKET SECONDS         connect, create, attach, detach, remove: how long each takes
//   costs hold SOCKET QUEUES CLIENTS   makes so many queues and client processes, each with a
//   producer
//                                      and a consumer of one of them, and keeps them until its
//                                      input ends
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <optional>
#include <shmq/client.hpp>
#include <vector>

#include "base/clock.hpp"
#include "peers/transport.hpp"
#include "support/histogram.hpp"
#include "support/need.hpp"

namespace shmq::bench {
namespace {

std::string queue_name(unsigned long number) {
    return own_name("costs", 0) + "/" + std::to_string(number);
}

int calls(const std::string& socket, double seconds) {
    std::map<std::string, Histogram> all;
    const auto timed = [&](const char* name, auto call) {
        const Nanoseconds before = monotonic_now();
        auto result = call();
        all[name].add(static_cast<std::uint64_t>(monotonic_now() - before));
        return result;
    };
    const auto end = monotonic_now() + static_cast<Nanoseconds>(seconds * nanoseconds_per_second);
    for (unsigned long number = 0; monotonic_now() < end; ++number) {
        const std::string name = queue_name(number);
        auto client = timed("connect", [&] { return need(Client::connect({.socket = socket})); });
        need_done(timed("create", [&] { return client.create(name); }));
        std::optional producer =
            timed("attach a producer", [&] { return need(client.producer(name)); });
        std::optional consumer =
            timed("attach a consumer", [&] { return need(client.consumer(name)); });
        timed("detach both", [&] {
            producer.reset();
            consumer.reset();
            return true;
        });
        need_done(timed("remove", [&] { return client.remove(name, true); }));
    }
    std::printf("{");
    const char* comma = "";
    for (const auto& [name, times] : all) {
        std::printf("%s\"%s\": {\"p50\": %llu, \"p99\": %llu}", comma, name.c_str(),
                    static_cast<unsigned long long>(times.at(0.5)),
                    static_cast<unsigned long long>(times.at(0.99)));
        comma = ", ";
    }
    std::printf("}\n");
    return 0;
}

// In a process of its own; says so when it is attached.
[[noreturn]] void be_client(const std::string& socket, const std::string& queue, int attached) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto client = need(Client::connect({.socket = socket}));
    auto producer = need(client.producer(queue));
    auto consumer = need(client.consumer(queue));
    if (::write(attached, "", 1) != 1) die_of_errno("write");
    ::close(attached);
    (void)consumer.receive();  // sleeps until it is killed: nobody sends
    ::pause();
    std::_Exit(1);
}

int hold(const std::string& socket, unsigned long queues, unsigned long clients) {
    auto client = need(Client::connect({.socket = socket}));
    const Nanoseconds start = monotonic_now();
    std::vector<std::string> names;
    for (unsigned long i = 0; i < queues; ++i) {
        names.push_back(queue_name(i));
        need_done(client.create(names.back()));
    }
    const Nanoseconds created = monotonic_now();
    int attached[2];
    if (::pipe(attached) != 0) die_of_errno("pipe");
    std::vector<pid_t> pids;
    for (unsigned long i = 0; i < clients; ++i) {
        pids.push_back(::fork());
        if (pids.back() == 0) be_client(socket, names[i % names.size()], attached[1]);
        if (pids.back() < 0) die_of_errno("fork");
    }
    ::close(attached[1]);
    char byte = 0;
    for (unsigned long i = 0; i < clients; ++i)
        if (::read(attached[0], &byte, 1) != 1) die("a client could not attach");
    const Nanoseconds ready = monotonic_now();
    std::printf("{\"create_s\": %.6f, \"attach_s\": %.6f, \"client_pid\": %d}\n",
                static_cast<double>(created - start) / 1e9,
                static_cast<double>(ready - created) / 1e9, pids.empty() ? 0 : pids.back());
    std::fflush(stdout);
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    for (const pid_t pid : pids)
        ::kill(pid, SIGKILL);
    for (const pid_t pid : pids)
        ::waitpid(pid, nullptr, 0);
    for (const std::string& name : names)
        (void)client.remove(name, true);
    return 0;
}

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    using namespace shmq::bench;
    const std::string what = count > 1 ? arguments[1] : "";
    if (what == "calls" && count == 4) return calls(arguments[2], std::stod(arguments[3]));
    if (what == "hold" && count == 5)
        return hold(arguments[2], std::stoul(arguments[3]), std::stoul(arguments[4]));
    die("costs calls SOCKET SECONDS | costs hold SOCKET QUEUES CLIENTS");
}

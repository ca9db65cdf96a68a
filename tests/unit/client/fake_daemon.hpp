// A daemon of the tests: speaks the protocol as a script says, in a thread of the test's process.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/fd.hpp"
#include "wire/channel.hpp"
#include "wire/control.hpp"

namespace shmq {

// A directory of the test's own, gone with it.
class ScratchDirectory {
  public:
    ScratchDirectory();
    ~ScratchDirectory();
    std::string operator/(std::string_view name) const { return path_ / name; }
    std::string path() const { return path_; }

  private:
    std::filesystem::path path_;
};

class FakeDaemon {
  public:
    // What to do about a call.
    struct Reaction {
        std::string text;  // sent as a frame; empty: none
        std::vector<Fd> descriptors;
        bool hang_up = false;  // after that
    };
    using Handler = std::function<Reaction(const wire::Call& call, wire::Frame& frame)>;

    static Reaction answer(const wire::Json& parameters, std::vector<Fd> descriptors = {});
    static Reaction fail(const wire::Failure& failure);
    static Reaction hang_up();

    // Answers Hello; everything else is MethodNotFound until on() says otherwise.
    FakeDaemon();
    ~FakeDaemon();

    void on(std::string_view method, Handler handler);
    // Says this to whoever connects, and hangs up without listening.
    void greet_with(std::string text);
    // Hangs up on everybody and listens no more; the socket's file stays.
    void stop();

    const std::string& socket() const { return socket_; }
    // Calls of that method so far, or all of them.
    std::vector<wire::Call> calls(std::string_view method = {}) const;
    // How often its doorbell was rung since the last time asked.
    std::uint64_t take_rings() const;

    // What it answers to Hello, for tests that change it.
    wire::Json hello_parameters() const;

  private:
    void run();
    // False: hang up.
    bool serve(wire::Channel& channel);
    Reaction react(const wire::Call& call, wire::Frame& frame);

    ScratchDirectory directory_;
    std::string socket_;
    Fd listener_;
    Fd stop_;
    Fd doorbell_;
    mutable std::mutex mutex_;  // guards the three below
    std::map<std::string, Handler, std::less<>> handlers_;
    std::string greeting_;
    std::vector<wire::Call> calls_;
    std::thread thread_;
};

// Lets a handler wait for its test, never for ever.
class Gate {
  public:
    void open() { open_.store(true); }
    // False: the watchdog came first.
    bool wait() const;

  private:
    std::atomic<bool> open_{false};
};

// A queue as a daemon would answer it.
wire::Queue sample_queue(std::string_view name);

}  // namespace shmq

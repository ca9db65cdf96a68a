// The one place where the daemon waits. Readiness of descriptors, and the time of the next
// deadline.
//
// A Source belongs to its caller, who keeps it until forget() or its destruction. Readiness is
// edge-triggered, on both loops alike: a handler works until the descriptor has nothing more, or
// answers `more` and is called again in the next round without a wait. A round first sets the ready
// sources aside, so each runs at most once a round and handlers may watch and forget at will. The
// dead come first: what they held is given back before anybody's next request is looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace shmq::daemon {

class Io;

enum class Progress { drained, more };

// Order within a round.
enum class Priority : std::uint8_t { death, signal, request };

// Descriptor and handler of something that becomes ready. Not movable: the loop knows its address.
class Source {
  public:
    // What became ready, as POLLIN and its like of <poll.h>.
    using Handler = std::function<Progress(unsigned events)>;

    Source() = default;
    ~Source();
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    bool watched() const { return io_ != nullptr; }

  private:
    friend class Io;
    Io* io_ = nullptr;
    std::uint32_t slot_ = 0;
    Priority priority_ = Priority::request;
    Handler handler_;
};

enum class IoChoice { automatic, uring, epoll };

class Io {
  public:
    // io_uring, or epoll where the system refuses it (seccomp, sysctl, no memory) or `choice` says
    // so. `refusal`: why io_uring is not used, empty if it is. Null if neither can be had.
    static std::unique_ptr<Io> create(IoChoice choice, std::string& refusal);
    virtual ~Io();
    Io(const Io&) = delete;
    Io& operator=(const Io&) = delete;

    virtual const char* name() const = 0;

    // Watches `fd` for `events` (POLLIN, POLLOUT, POLLRDHUP; errors and hang-up always count).
    // REQUIRES: source is not watched; fd stays open until it is forgotten.
    void watch(Source& source, int fd, unsigned events, Priority priority, Source::Handler handler);
    // The handler runs no more, not even later in this round. Twice does nothing.
    void forget(Source& source);
    // The same source, descriptor and handler, other events.
    void change(Source& source, unsigned events);

    // Waits until something is ready or `deadline` has come (no_deadline: for ever), then runs each
    // ready source once. How long it waited.
    Nanoseconds round(Nanoseconds deadline);

    std::size_t watched_count() const { return slots_.size() - vacant_.size(); }

  protected:
    Io() = default;
    // The word a backend carries for a source: it outlives neither the source nor its events.
    using Token = std::uint64_t;

    virtual void arm(Token token, int fd, unsigned events) = 0;
    virtual void disarm(Token token, int fd) = 0;
    // Waits (0: only looks; no_deadline: without end) and calls mark_ready for what came.
    virtual void collect(Nanoseconds wait_ns) = 0;

    void mark_ready(Token token, unsigned events);
    // False: the source was forgotten or changed since; its event is nobody's.
    bool is_current(Token token) const;
    // What a current token is watched for.
    int descriptor_of(Token token) const;
    unsigned events_of(Token token) const;

  private:
    struct Slot {
        Source* source = nullptr;
        std::uint32_t generation = 0;
        int fd = -1;
        unsigned events = 0;
        unsigned ready = 0;   // collected and not yet run
        bool queued = false;  // in ready_ already
    };

    static std::uint32_t slot_of(Token token) { return static_cast<std::uint32_t>(token); }
    Token token_of(std::uint32_t slot) const { return Token{slots_[slot].generation} << 32 | slot; }
    void run(Token token);

    std::vector<Slot> slots_;
    std::vector<std::uint32_t> vacant_;
    std::vector<Token> ready_[3];  // by priority
};

// Null and `refusal` filled where the system refuses.
std::unique_ptr<Io> create_uring(std::string& refusal);
std::unique_ptr<Io> create_epoll(std::string& refusal);

}  // namespace shmq::daemon

// The methods of docs/control_protocol.md: from a call of a session to its answer.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"
#include "daemon/dead_letters.hpp"
#include "daemon/metrics/page.hpp"
#include "daemon/registry.hpp"
#include "daemon/supervisor.hpp"
#include "wire/channel.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

// What the daemon tells of itself.
struct About {
    std::string socket;
    std::string state_directory;  // empty: none
    std::string alarm;            // about it; empty: nothing
    std::string instance;         // tells one daemon's life from the next
    Nanoseconds started_at = 0;
    std::uint32_t restarts = 0;  // daemons before this one whose work it goes on with
    std::size_t adopted = 0;     // queues taken over, from what was kept or by clients
    bool awaits_memory = false;  // clients may still bring back what was lost
    std::string loop;            // its kind
    std::uint64_t rounds = 0;    // of it
    Nanoseconds busy_ns = 0;     // not waiting
    std::uint64_t reloads = 0;
    bool reload_failed = false;
};

// What methods know of the session that calls.
struct Session {
    Caller caller;
    int socket = -1;
    Holder* holder = nullptr;  // null until Hello
};

struct Reply {
    wire::Json parameters = wire::Json::object();
    std::vector<Fd> descriptors;
};

class Methods {
  public:
    Methods(Registry& registry, DeadLetters& dead_letters, Supervisor& supervisor,
            const std::size_t& session_count, const std::size_t& recovering_count, About& about)
        : registry_(registry),
          dead_letters_(dead_letters),
          supervisor_(supervisor),
          session_count_(session_count),
          recovering_count_(recovering_count),
          about_(about) {}

    // Runs one call. `frame`: the descriptors that came with it; what nobody takes is closed with
    // it.
    wire::Outcome<Reply> run(Session& session, const wire::Call& call, wire::Frame& frame);
    // Whether the session may watch as it asks: that queue, or (empty) all that it may see.
    std::optional<wire::Failure> check_watch(const Session& session, const wire::Call& call,
                                             std::string& name) const;
    // Of all queues, for who may see all.
    std::string metrics_page() const;

  private:
    using Method = wire::Outcome<Reply> (Methods::*)(Session&, const wire::Call&, wire::Frame&);
    struct Entry;
    static const Entry* find(std::string_view method);

    wire::Outcome<Reply> hello(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> create(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> describe(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> list(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> remove(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> purge(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> edit(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> pause(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> status(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> metrics(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> attach(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> reattach(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> resumed(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> detach(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> pending(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> settle(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> release(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> get_info(Session& session, const wire::Call& call, wire::Frame& frame);
    wire::Outcome<Reply> get_interface_description(Session& session, const wire::Call& call,
                                                   wire::Frame& frame);

    // The queue that a client's definition means; taken over from the client where it is unknown.
    wire::Outcome<std::shared_ptr<Queue>> find_or_adopt(const Session& session, const Fd& what,
                                                        Registry::Memory memory);
    // The same failure, or Recovering where the queue may yet be brought back.
    wire::Failure unless_recovering(const std::string& name, wire::Failure failure) const;

    DaemonNumbers numbers() const;

    Registry& registry_;
    DeadLetters& dead_letters_;
    Supervisor& supervisor_;
    const std::size_t& session_count_;
    const std::size_t& recovering_count_;
    About& about_;
};

}  // namespace shmq::daemon

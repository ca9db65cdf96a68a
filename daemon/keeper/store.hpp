// The daemon's side of its keeper: what has to outlive this process is handed to another one, our
// own keeper (keeper.hpp) or the service manager, by the same notify protocol.
//
// Descriptors are borrowed: whoever keeps one has it open until drop(). A keeper that dies is
// replaced and gets everything again, in the order in which it was kept. Nothing here blocks but
// say_last; what a slow reader does not take waits its turn.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "base/fd.hpp"
#include "daemon/io/io.hpp"
#include "daemon/keeper/back_off.hpp"
#include "daemon/timers.hpp"

namespace shmq::daemon {

class Store {
  public:
    Store(Io& io, Timers& timers) : io_(io), timers_(timers) {}
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // The socket of a service manager, as $NOTIFY_SOCKET names it. False: errno says why.
    bool use_manager(const std::string& address);
    // `socket` invalid: there is no keeper yet. `start` makes one, and answers our end of the
    // socket to it, or an invalid one.
    void use_keeper(Fd socket, std::function<Fd()> start);

    void keep(const std::string& name, int fd);
    // It is kept already, by a predecessor.
    void kept(const std::string& name, int fd);
    void drop(const std::string& name);
    void say_ready();
    // A reload has begun; say_ready() ends it.
    void say_reloading();
    // For a manager's watchdog; nothing where it has not yet read what came before.
    void say_alive();
    // Waits a moment for the reader, and lets go of the keeper: the daemon ends.
    void say_last();

    std::size_t kept_count() const { return by_name_.size(); }
    // Whether one more of that name comes back to a successor along with all the others.
    bool has_room_for(const std::string& name) const;

  private:
    struct Message {
        std::string text;
        std::string name;  // of a descriptor to keep; else empty
        int fd = -1;
    };
    struct Entry {
        std::string name;
        int fd;
    };

    void remember(const std::string& name, int fd);
    void forget(const std::string& name);
    void push(Message message);
    void flush();
    void watch();
    Progress on_event(unsigned events);
    void on_loss();
    void start_keeper();
    void start_later(Nanoseconds delay);

    Io& io_;
    Timers& timers_;
    Fd socket_;
    std::function<Fd()> start_;
    Source source_;
    Timer retry_;
    BackOff back_off_{10 * nanoseconds_per_second};
    Nanoseconds started_at_ = 0;  // the keeper
    bool ready_ = false;
    bool ending_ = false;
    std::uint64_t next_ = 0;
    std::size_t names_bytes_ = 0;             // a separator each
    std::map<std::uint64_t, Entry> entries_;  // in the order in which they were kept
    std::map<std::string, std::uint64_t> by_name_;
    std::deque<Message> pending_;
};

}  // namespace shmq::daemon

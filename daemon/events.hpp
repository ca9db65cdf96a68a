// What happens, told to those who watch: bounded, so that a slow reader loses events and is told
// how many, and nobody waits for it.
//
// A daemon runs in one thread, and its parts tell of what they do by `tell`, which finds the hub of
// that thread; where there is none, nobody watches.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "daemon/rights.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

class Queue;

// One who watches. `ready`: called when there is something to take where there was nothing.
class Watcher {
  public:
    bool empty() const { return waiting_.empty(); }
    // REQUIRES: not empty.
    wire::Event take();

  private:
    friend class Events;
    Caller caller_;
    std::string queue_;  // empty: all that the caller may see
    std::function<void()> ready_;
    std::deque<wire::Event> waiting_;
    std::uint64_t lost_ = 0;
    std::list<Watcher*>::iterator place_;
};

class Events {
  public:
    static constexpr std::size_t waiting_most = 1024;

    Events();
    ~Events();
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;

    // From now on until leave(). REQUIRES: the watcher outlives that.
    void join(Watcher& watcher, const Caller& caller, std::string queue,
              std::function<void()> ready);
    void leave(Watcher& watcher);
    bool anybody() const { return !watchers_.empty(); }
    void tell(const Queue* queue, wire::Event event);

    // The hub of the daemon that runs in this thread from now on; null: none does any more.
    static void set_current(Events* events);

  private:
    std::list<Watcher*> watchers_;
};

// `queue` null: it concerns none in particular, and everybody may know.
void tell(std::string_view kind, const Queue* queue, std::string text, std::uint32_t pid = 0,
          std::uint64_t count = 0);
// Whether telling is worth the making of a text.
bool anybody_watches();

}  // namespace shmq::daemon

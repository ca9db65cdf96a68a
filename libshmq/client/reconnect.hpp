// One thread a process that brings sessions back after their daemon died: programs that only send
// and receive make no call in which they could notice, and a daemon that misses them would in the
// end take back what they have.
//
// It starts with the first participant, blocks all signals, and sleeps until a connection ends. A
// child of fork has none, and gets its own if it connects anew.
#pragma once

#include <memory>

namespace shmq {

// What the thread looks after. Called by it alone, but for the thread of whoever adds one.
class Reconnecting {
  public:
    Reconnecting() = default;
    virtual ~Reconnecting() = default;
    Reconnecting(const Reconnecting&) = delete;
    Reconnecting& operator=(const Reconnecting&) = delete;

    // The socket to watch; -1: there is no connection. Any thread, never waits.
    virtual int connection() const noexcept = 0;
    // One try, of about a second at most. True: connected.
    virtual bool reconnect() noexcept = 0;
    // Nobody needs it any more, and nothing is left to say.
    virtual bool finished() const noexcept = 0;
};

// Looks after it until it is finished. Twice is once. Where no thread can be had, it does nothing:
// then calls alone reconnect.
void keep_connected(const std::shared_ptr<Reconnecting>& session) noexcept;
// A connection began or ended, or a session is finished: the thread looks anew.
void look_at_connections() noexcept;

}  // namespace shmq

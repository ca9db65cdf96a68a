// Who holds which number in which queue, in memory that outlives the daemon (keeper/store.hpp) and
// that no client sees: the participants' records in the segments can be written by clients.
//
// A file of records, each written by one pwrite that a kill cannot cut in two. Record 0 counts the
// daemons that wrote here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace shmq::daemon {

struct RosterEntry {
    std::string identity;      // of the queue, 32 hexadecimal digits
    std::string key;           // of the session, the same; empty: nobody knows
    std::uint64_t holder = 0;  // number of the pidfd that is kept
    std::uint32_t number = 0;
    std::uint32_t generation = 0;
    pid_t pid = 0;
    uid_t uid = 0;
    Nanoseconds attached_at = 0;
    bool producer = false;
};

class Roster {
  public:
    // An empty one. False: errno.
    bool create();
    // A predecessor's, with what it holds. False: it is no roster of this version.
    bool adopt(Fd file, std::vector<RosterEntry>& entries, std::vector<std::uint32_t>& places);

    // The place to erase it at. Running out of memory costs the entry, and no more: a successor
    // then finds out about this participant as if nobody had kept anything.
    std::uint32_t add(const RosterEntry& entry);
    void erase(std::uint32_t place);

    int fd() const { return file_.get(); }
    // How many daemons before this one wrote here.
    std::uint32_t lives() const { return lives_; }

  private:
    bool write_header();

    Fd file_;
    std::uint32_t lives_ = 0;
    std::uint32_t end_ = 1;  // places beyond were never used
    std::vector<std::uint32_t> vacant_;
};

}  // namespace shmq::daemon

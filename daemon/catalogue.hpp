// What each queue is, and under which number its memory is kept: in one piece of memory that
// outlives the daemon (keeper/store.hpp), that the daemon alone writes, and that no client sees.
//
// An entry is added before the one that it replaces is erased, and erased before its memory is let
// go of. So a daemon killed at any instruction leaves: the old entry, or both, of which the later
// holds; or an entry less, and memory that belongs to none.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "daemon/catalogue_format.hpp"

namespace shmq::daemon {

class Catalogue {
  public:
    // An empty one. False: errno.
    bool create();
    // A predecessor's, with what it holds; changes nothing in it. False: it is none of this format.
    bool adopt(Fd file, std::vector<CatalogueEntry>& entries);

    // The place of the new entry; 0: errno, and everything is as it was.
    std::uint32_t add(std::uint64_t memory, std::string_view text);
    void erase(std::uint32_t place);

    int fd() const { return file_.get(); }

  private:
    Fd file_;
    std::uint64_t next_serial_ = 1;
    std::uint32_t end_ = 1;  // places beyond were never used
    std::set<std::uint32_t> vacant_;
};

}  // namespace shmq::daemon

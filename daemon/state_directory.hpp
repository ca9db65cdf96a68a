// Where journals live: one directory of this daemon's own, with a directory for each queue that has
// something on disk.
//
//   PATH/lock                    locked as long as the daemon lives; holds its pid
//   PATH/queues/IDENTITY/        one queue's: its journal's files, and for a queue that has to
//   .../definition.json          outlive the machine, what it is
//
// Every error is a sentence that names the directory, what is wrong, and what to do.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace shmq::daemon {

// Where a daemon keeps state when nobody says otherwise. `socket`: as it was named on the command
// line, or empty. Without a named socket: $STATE_DIRECTORY. For the socket that is this user's by
// default: /var/lib/shmq for root, $XDG_STATE_HOME/shmq, ~/.local/state/shmq. For every other:
// beside it, under its name and `.state`.
std::string default_state_path(const std::string& socket);

class StateDirectory {
  public:
    // Or why there is none.
    using Opened = std::expected<std::unique_ptr<StateDirectory>, std::string>;
    template <typename T>
    using Outcome = std::expected<T, std::string>;

    // Makes the directory (0700) where it is missing, checks that it is ours alone to write to, and
    // locks it for the life of the object.
    static Opened open(const std::string& path);
    StateDirectory(const StateDirectory&) = delete;
    StateDirectory& operator=(const StateDirectory&) = delete;

    const std::string& path() const { return path_; }
    // Empty, or what is wrong with a directory that can be used all the same: its disk is full, and
    // those who drain their queues must not be kept from it.
    const std::string& warning() const { return warning_; }

    // ---- Of one queue; REQUIRES: `identity` has 32 hexadecimal digits ----
    // Its directory, made where it is missing; the name of it is on disk then.
    Outcome<std::string> queue_path(const std::string& identity);
    // With all files in it, the definition first. Fine if there is none.
    Outcome<void> remove_queue(const std::string& identity);
    // Replaces it, wholly or not at all; it is on the disk when this returns.
    Outcome<void> write_definition(const std::string& identity, std::string_view text);
    Outcome<std::string> read_definition(const std::string& identity) const;
    // Whose directories are there, sorted.
    Outcome<std::vector<std::string>> queues() const;

  private:
    StateDirectory(std::string path, Fd directory)
        : path_(std::move(path)), directory_(std::move(directory)) {}
    std::string check_owner();
    std::string lock();
    std::string try_writing();
    Fd open_queue(const std::string& identity) const;
    std::unexpected<std::string> refuse(std::string_view doing, int error) const;

    std::string path_;
    Fd directory_;
    Fd lock_;
    std::string warning_;
};

}  // namespace shmq::daemon

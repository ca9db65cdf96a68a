// Makes files before they are needed: creates one, gives it its size, and for a log that is synced
// fills it with zeros and syncs it, so that a sync of records later changes nothing but their
// blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "daemon/journal/disk.hpp"

namespace shmq::journal {

struct MadeFile {
    std::string name;
    std::shared_ptr<File> file;
    std::uint64_t bytes = 0;
};

class FileMaker {
  public:
    // `changed` runs when a file is ready or could not be made. REQUIRES: the maker lives until it
    // is not busy any more.
    FileMaker(Disk& disk, bool synced, std::function<void()> changed)
        : disk_(disk), synced_(synced), changed_(std::move(changed)) {}

    // REQUIRES: neither busy nor ready.
    void start(const std::string& name, std::uint64_t bytes);
    bool busy() const { return busy_; }
    bool ready() const { return !busy_ && made_.file != nullptr; }
    std::uint64_t bytes() const { return made_.bytes; }
    // REQUIRES: ready.
    MadeFile take() { return std::exchange(made_, {}); }
    // What is being made is given up at its next step.
    void stop() { stopped_ = true; }
    // errno of the last attempt, 0 if it went well; then nothing of it is left.
    int error() const { return error_; }

  private:
    void fill(std::uint64_t offset);
    void sync();
    void finish(int error);

    Disk& disk_;
    bool synced_;
    std::function<void()> changed_;
    MadeFile made_;
    bool busy_ = false;
    bool stopped_ = false;
    int error_ = 0;
};

}  // namespace shmq::journal

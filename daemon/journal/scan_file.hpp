// A scanner that reads for itself: start-up and tools.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daemon/journal/disk.hpp"
#include "daemon/journal/read_ahead.hpp"
#include "daemon/journal/scanner.hpp"

namespace shmq::journal {

// As many bytes as there are, or -errno: Disk::read_now may answer with fewer.
std::int64_t read_whole(Disk& disk, File& file, std::uint64_t offset, std::span<std::byte> into);

class FileScan {
  public:
    // Without `changed` it waits for the disk. With it, it reads ahead, and next() answers
    // Scanner::Step::need where bytes are on their way: `changed` runs from Disk::run when it may
    // be called again.
    FileScan(Disk& disk, std::shared_ptr<File> file, const FileHeader& header, std::uint64_t bytes,
             std::function<void()> changed = {});

    Scanner::Step next();
    const Record& record() const { return scanner_.record(); }
    const Hole& hole() const { return scanner_.hole(); }
    std::uint64_t written_end() const { return scanner_.written_end(); }
    // How far into the file it has looked.
    std::uint64_t offset() const { return scanner_.offset(); }
    // Why bytes could not be read since the last call, in words; empty if all could.
    std::string take_error() { return ahead_ ? ahead_->take_error() : std::exchange(error_, {}); }

  private:
    void read_more();

    Disk& disk_;
    std::shared_ptr<File> file_;
    std::uint64_t bytes_;
    Scanner scanner_;
    std::unique_ptr<ReadAhead> ahead_;
    std::uint64_t base_ = 0;  // the file's offset of window_[0]
    std::vector<std::byte> window_;
    std::string error_;
};

}  // namespace shmq::journal

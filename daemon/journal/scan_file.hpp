// A scanner that reads for itself and waits for the disk: start-up and tools.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daemon/journal/disk.hpp"
#include "daemon/journal/scanner.hpp"

namespace shmq::journal {

// As many bytes as there are, or -errno: Disk::read_now may answer with fewer.
std::int64_t read_whole(Disk& disk, File& file, std::uint64_t offset, std::span<std::byte> into);

class FileScan {
  public:
    FileScan(Disk& disk, File& file, const FileHeader& header, std::uint64_t bytes);

    // Never Scanner::Step::need.
    Scanner::Step next();
    const Record& record() const { return scanner_.record(); }
    const Hole& hole() const { return scanner_.hole(); }
    std::uint64_t written_end() const { return scanner_.written_end(); }
    // Why bytes could not be read since the last call, in words; empty if all could.
    std::string take_error() { return std::exchange(error_, {}); }

  private:
    void read_more();

    Disk& disk_;
    File& file_;
    std::uint64_t bytes_;
    Scanner scanner_;
    std::uint64_t base_ = 0;  // the file's offset of window_[0]
    std::vector<std::byte> window_;
    std::string error_;
};

}  // namespace shmq::journal

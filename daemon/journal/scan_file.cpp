#include "daemon/journal/scan_file.hpp"

#include <algorithm>
#include <cstring>

namespace shmq::journal {
namespace {

constexpr std::uint64_t chunk_bytes = 256 * 1024;
// What one unreadable place costs of its neighbourhood.
constexpr std::uint64_t careful_bytes = 512;

}  // namespace

std::int64_t read_whole(Disk& disk, File& file, std::uint64_t offset, std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const std::int64_t count = disk.read_now(file, offset + done, into.subspan(done));
        if (count < 0) return count;
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return static_cast<std::int64_t>(done);
}

FileScan::FileScan(Disk& disk, std::shared_ptr<File> file, const FileHeader& header,
                   std::uint64_t bytes, std::function<void()> changed)
    : disk_(disk),
      file_(std::move(file)),
      bytes_(bytes),
      scanner_(header.seed, header.record_start, header.first_lsn, bytes) {
    if (!changed) return;
    ahead_ = std::make_unique<ReadAhead>(disk, std::move(changed));
    ahead_->open(file_);
    ahead_->reach(bytes);
}

Scanner::Step FileScan::next() {
    for (;;) {
        const Scanner::Step step = scanner_.next();
        if (step != Scanner::Step::need) return step;
        if (ahead_ == nullptr) {
            read_more();
            continue;
        }
        const std::uint64_t from = scanner_.offset();
        const auto window = ahead_->bytes(from, scanner_.wanted_end());
        scanner_.look_at(from, window.value_or(std::span<const std::byte>{}));
        if (!window) return step;
    }
}

void FileScan::read_more() {
    // Lets go of what was passed.
    const std::size_t passed = std::min(scanner_.offset() - base_, window_.size());
    window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(passed));
    base_ = scanner_.offset();
    const std::size_t held = window_.size();
    const std::uint64_t offset = base_ + held;
    const std::uint64_t most = bytes_ - offset;
    const auto read = [&](std::uint64_t bytes) {
        window_.resize(held + std::min(most, bytes));
        return read_whole(disk_, *file_, offset, std::span(window_).subspan(held));
    };
    std::int64_t count = read(std::max(chunk_bytes, scanner_.wanted_end() - offset));
    if (count < 0) count = read(careful_bytes);
    if (count < 0) {
        error_ = std::string("cannot be read: ") + std::strerror(static_cast<int>(-count));
        count = 0;
    }
    // What is missing counts as zeros: no record, and the scan goes on behind it.
    std::fill(window_.begin() + static_cast<std::ptrdiff_t>(held) + count, window_.end(),
              std::byte{});
    scanner_.look_at(base_, window_);
}

}  // namespace shmq::journal

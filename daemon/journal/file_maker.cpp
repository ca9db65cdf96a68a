#include "daemon/journal/file_maker.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/check.hpp"

namespace shmq::journal {
namespace {

constexpr std::uint64_t fill_bytes = std::uint64_t{1} << 20;

// Only read from; iovec knows no const.
std::byte* zeros() {
    static std::vector<std::byte> bytes(fill_bytes);
    return bytes.data();
}

}  // namespace

void FileMaker::start(const std::string& name, std::uint64_t bytes) {
    SHMQ_CHECK(!busy_ && made_.file == nullptr);
    busy_ = true;
    error_ = 0;
    made_ = {.name = name, .file = nullptr, .bytes = bytes};
    std::unique_ptr<File> file;
    if (const int error = disk_.create(name, file); error != 0) return finish(error);
    made_.file = std::move(file);
    disk_.allocate(*made_.file, bytes, [this](std::int64_t result) {
        if (result < 0) return finish(static_cast<int>(-result));
        synced_ ? fill(0) : finish(0);
    });
}

void FileMaker::fill(std::uint64_t offset) {
    if (stopped_) return finish(ECANCELED);
    if (offset == made_.bytes) return sync();
    const std::uint64_t count = std::min(fill_bytes, made_.bytes - offset);
    disk_.write(*made_.file, offset, {iovec{zeros(), count}}, [this, offset](std::int64_t result) {
        if (result <= 0) return finish(result < 0 ? static_cast<int>(-result) : EIO);
        fill(offset + static_cast<std::uint64_t>(result));
    });
}

void FileMaker::sync() {
    disk_.sync(*made_.file, [this](std::int64_t result) {
        if (result < 0) return finish(static_cast<int>(-result));
        disk_.sync_directory(
            [this](std::int64_t answer) { finish(answer < 0 ? static_cast<int>(-answer) : 0); });
    });
}

void FileMaker::finish(int error) {
    busy_ = false;
    error_ = error;
    if (error != 0 && made_.file != nullptr) disk_.remove(made_.name);
    if (error != 0) made_ = {};
    changed_();
}

}  // namespace shmq::journal

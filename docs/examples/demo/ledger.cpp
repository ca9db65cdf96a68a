#include "ledger.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <numeric>
#include <utility>

namespace demo {
namespace {

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    std::exit(1);
}

}  // namespace

std::uint64_t Histogram::quantile(double share) const {
    const auto all = std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(all));
    std::uint64_t counted = 0;
    for (std::size_t step = 0; step < counts_.size(); ++step) {
        counted += counts_[step];
        if (counted <= wanted || counts_[step] == 0) continue;
        const std::size_t shift = step >> steps_log2;
        if (shift == 0) return step;
        const std::size_t steps = std::size_t{1} << steps_log2;
        return (step - (shift - 1) * steps) << (shift - 1);
    }
    return 0;
}

Ledger::Ledger() : descriptor_(::memfd_create("shmq_demo_ledger", MFD_CLOEXEC)) {
    if (descriptor_ < 0) give_up("shmq_demo: memfd_create");
}

Ledger::Ledger(Ledger&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Ledger::~Ledger() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

bool Ledger::append(std::span<const Receipt> receipts) {
    auto bytes = std::as_bytes(receipts);
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

std::vector<Receipt> Ledger::read() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) give_up("shmq_demo: ledger");
    std::vector<Receipt> receipts(static_cast<std::size_t>(status.st_size) / sizeof(Receipt));
    auto bytes = std::as_writable_bytes(std::span(receipts));
    off_t offset = 0;
    while (!bytes.empty()) {
        const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
        if (got <= 0) give_up("shmq_demo: ledger");
        bytes = bytes.subspan(static_cast<std::size_t>(got));
        offset += got;
    }
    return receipts;
}

Board& make_board() {
    void* memory =
        ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("shmq_demo: mmap");
    return *new (memory) Board{};
}

}  // namespace demo

#include "fault/simulated_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace shmq::fault {
namespace {

constexpr std::uint64_t sector_bytes = 512;

Bytes sector_of(const Bytes& bytes, std::uint64_t sector) {
    Bytes piece(sector_bytes);
    const std::uint64_t from = sector * sector_bytes;
    if (from < bytes.size()) {
        const std::uint64_t count = std::min<std::uint64_t>(sector_bytes, bytes.size() - from);
        std::memcpy(piece.data(), bytes.data() + from, count);
    }
    return piece;
}

void put_sector(Bytes& bytes, std::uint64_t sector, const Bytes& piece) {
    const std::uint64_t from = sector * sector_bytes;
    if (from >= bytes.size()) return;
    std::memcpy(bytes.data() + from, piece.data(),
                std::min<std::uint64_t>(sector_bytes, bytes.size() - from));
}

// True once, when the countdown comes to its end.
bool strikes(int& countdown) {
    return countdown > 0 && --countdown == 0;
}

}  // namespace

SimulatedDisk::SimulatedDisk(std::uint64_t seed, const Image& image) : random_(seed) {
    for (const auto& [name, bytes] : image) {
        auto inode = std::make_shared<Inode>();
        inode->medium = inode->cache = bytes;
        names_[name] = inode;
    }
    names_on_medium_ = names_;
}

int SimulatedDisk::list(std::vector<std::string>& names) {
    for (const auto& [name, inode] : names_)
        names.push_back(name);
    return 0;
}

int SimulatedDisk::open(const std::string& name, std::unique_ptr<journal::File>& file,
                        std::uint64_t& bytes) {
    const auto found = names_.find(name);
    if (found == names_.end()) return ENOENT;
    bytes = found->second->cache.size();
    file = std::make_unique<Handle>(found->second);
    return 0;
}

int SimulatedDisk::create(const std::string& name, std::unique_ptr<journal::File>& file) {
    if (names_.contains(name)) return EEXIST;
    const auto& inode = names_[name] = std::make_shared<Inode>();
    file = std::make_unique<Handle>(inode);
    return 0;
}

int SimulatedDisk::remove(const std::string& name) {
    auto node = names_.extract(name);
    if (node.empty()) return ENOENT;
    removed_.push_back(node.mapped());
    return 0;
}

int SimulatedDisk::rename(const std::string& from, const std::string& to) {
    auto node = names_.extract(from);
    if (node.empty()) return ENOENT;
    names_[to] = node.mapped();
    return 0;
}

std::int64_t SimulatedDisk::read_now(journal::File& file, std::uint64_t offset,
                                     std::span<std::byte> into) {
    const Inode& inode = inode_of(file);
    if (offset >= inode.cache.size() || into.empty()) return 0;
    std::uint64_t count = std::min<std::uint64_t>(into.size(), inode.cache.size() - offset);
    if (unreadable && names_.contains(unreadable->first) &&
        names_[unreadable->first].get() == &inode && unreadable->second < offset + count &&
        offset < unreadable->second + sector_bytes)
        return -EIO;
    if (short_moves) count = 1 + below(count);
    std::memcpy(into.data(), inode.cache.data() + offset, count);
    return static_cast<std::int64_t>(count);
}

void SimulatedDisk::start(Inode* inode, bool barrier, std::function<std::int64_t()> apply,
                          journal::Done done) {
    operations_.push_back({std::move(apply), std::move(done), barrier, inode, {}});
}

void SimulatedDisk::put(Inode& inode, std::uint64_t offset, const Bytes& bytes) {
    if (bytes.empty()) return;
    const std::uint64_t end = offset + bytes.size();
    if (inode.cache.size() < end) inode.cache.resize(end);
    // A file's size is taken to be safe at once: what it then shows there are zeros.
    if (inode.medium.size() < end) inode.medium.resize(end);
    std::memcpy(inode.cache.data() + offset, bytes.data(), bytes.size());
    for (std::uint64_t sector = offset / sector_bytes; sector * sector_bytes < end; ++sector)
        inode.dirty[sector].push_back(sector_of(inode.cache, sector));
}

std::uint64_t SimulatedDisk::used_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& [name, inode] : names_)
        bytes += inode->cache.size();
    for (const std::weak_ptr<Inode>& removed : removed_)
        if (const auto inode = removed.lock(); inode && inode->handles != 0)
            bytes += inode->cache.size();
    return bytes;
}

std::int64_t SimulatedDisk::apply_write(Inode& inode, std::uint64_t offset, const Bytes& bytes) {
    Bytes moved = bytes;
    // What fits a sector moves as a whole, on real disks, too.
    if (short_moves && moved.size() > sector_bytes)
        moved.resize(sector_bytes + below(moved.size() - sector_bytes));
    if (strikes(fail_write_in)) {
        put(inode, offset, moved);
        for (std::uint64_t at = offset / sector_bytes; at * sector_bytes < offset + moved.size();
             ++at)
            inode.dirty.erase(at);  // clean, says the cache; the medium never gets it
        return -EIO;
    }
    const std::uint64_t end = offset + moved.size();
    if (end > inode.cache.size() && used_bytes() + end - inode.cache.size() > capacity_bytes)
        return -ENOSPC;
    put(inode, offset, moved);
    return static_cast<std::int64_t>(moved.size());
}

void SimulatedDisk::write(journal::File& file, std::uint64_t offset, std::vector<iovec> pieces,
                          journal::Done done) {
    auto inode = static_cast<Handle&>(file).inode;
    // The bytes are taken when the write is done, as a kernel may: who changes them before sees it.
    struct Source {
        std::vector<iovec> pieces;
        Bytes bytes;
        void take() {
            for (const iovec& piece : std::exchange(pieces, {})) {
                const auto* from = static_cast<const std::byte*>(piece.iov_base);
                bytes.insert(bytes.end(), from, from + piece.iov_len);
            }
        }
    };
    auto source = std::make_shared<Source>();
    source->pieces = std::move(pieces);
    start(
        inode.get(), false,
        [this, inode, offset, source] {
            source->take();
            return apply_write(*inode, offset, source->bytes);
        },
        std::move(done));
    operations_.back().freeze = [source] { source->take(); };
}

void SimulatedDisk::read(journal::File& file, std::uint64_t offset, std::span<std::byte> into,
                         journal::Done done) {
    auto inode = static_cast<Handle&>(file).inode;
    auto wanted = std::make_shared<bool>(true);
    start(
        inode.get(), false,
        [this, inode, offset, into, wanted]() -> std::int64_t {
            if (!*wanted) return 0;  // where it was to go to is gone
            ++reads;
            bytes_read += into.size();
            Handle handle(inode);
            return read_now(handle, offset, into);
        },
        std::move(done));
    operations_.back().freeze = [wanted] { *wanted = false; };
}

void SimulatedDisk::allocate(journal::File& file, std::uint64_t bytes, journal::Done done) {
    auto inode = static_cast<Handle&>(file).inode;
    start(
        inode.get(), false,
        [this, inode, bytes]() -> std::int64_t {
            if (used_bytes() + bytes > capacity_bytes + inode->cache.size()) return -ENOSPC;
            inode->cache.resize(std::max<std::uint64_t>(bytes, inode->cache.size()));
            inode->medium.resize(inode->cache.size());
            return 0;
        },
        std::move(done));
}

void SimulatedDisk::sync(journal::File& file, journal::Done done) {
    auto inode = static_cast<Handle&>(file).inode;
    start(
        inode.get(), true,
        [this, inode]() -> std::int64_t {
            if (strikes(fail_sync_in)) {
                inode->dirty.clear();  // what did not come through is forgotten, not tried again
                return -EIO;
            }
            for (const auto& [sector, versions] : inode->dirty)
                put_sector(inode->medium, sector, versions.back());
            inode->dirty.clear();
            return 0;
        },
        std::move(done));
}

void SimulatedDisk::sync_directory(journal::Done done) {
    start(
        nullptr, true,
        [this]() -> std::int64_t {
            names_on_medium_ = names_;
            return 0;
        },
        std::move(done));
}

SimulatedDisk::Operation SimulatedDisk::take_next() {
    std::size_t chosen = 0;
    if (reorder) {
        // Those of one file keep their order behind a sync; others pass each other at will.
        std::vector<std::size_t> free;
        for (std::size_t index = 0; index < operations_.size(); ++index) {
            const bool held = std::any_of(
                operations_.begin(), operations_.begin() + static_cast<std::ptrdiff_t>(index),
                [&](const Operation& earlier) {
                    return earlier.inode == operations_[index].inode &&
                           (earlier.barrier || operations_[index].barrier);
                });
            if (!held) free.push_back(index);
        }
        chosen = free[below(free.size())];
    }
    Operation operation = std::move(operations_[chosen]);
    operations_.erase(operations_.begin() + static_cast<std::ptrdiff_t>(chosen));
    return operation;
}

bool SimulatedDisk::run(bool) {
    if (dead_ || operations_.empty()) return false;
    Operation operation = take_next();
    const std::int64_t result = operation.apply();
    if (operation.done) operation.done(result);
    return true;
}

void SimulatedDisk::process_died() {
    dead_ = true;
    for (Operation& operation : operations_) {
        operation.done = nullptr;
        if (operation.freeze) operation.freeze();
    }
}

Image SimulatedDisk::power_loss(Loss loss, std::mt19937_64& random) const {
    std::map<std::string, std::shared_ptr<Inode>> names =
        loss == Loss::nothing ? names_ : names_on_medium_;
    if (loss == Loss::any) {
        for (const auto& [name, inode] : names_)
            if (random() % 2 != 0) names[name] = inode;
        for (const auto& [name, inode] : names_on_medium_)
            if (!names_.contains(name) && random() % 2 != 0) names.erase(name);
    }
    Image image;
    for (const auto& [name, inode] : names) {
        Bytes bytes = inode->medium;
        for (const auto& [sector, versions] : inode->dirty) {
            if (loss == Loss::everything) continue;
            if (loss == Loss::nothing) {
                put_sector(bytes, sector, versions.back());
                continue;
            }
            const std::uint64_t pick = random() % (versions.size() + 1);
            if (pick != 0) put_sector(bytes, sector, versions[pick - 1]);
            if (torn_sectors && sector != 0 && random() % 8 == 0) {
                Bytes torn = sector_of(bytes, sector);
                const std::uint64_t from = random() % sector_bytes;
                for (std::uint64_t at = from; at < sector_bytes; ++at)
                    torn[at] = static_cast<std::byte>(random());
                put_sector(bytes, sector, torn);
            }
        }
        image[name] = std::move(bytes);
    }
    return image;
}

std::size_t SimulatedDisk::unsynced() const {
    std::size_t count = 0;
    for (const auto& [name, inode] : names_) {
        count += inode->dirty.size();
        const auto found = names_on_medium_.find(name);
        count += found == names_on_medium_.end() || found->second != inode ? 1U : 0U;
    }
    return count;
}

Image SimulatedDisk::seen() const {
    Image image;
    for (const auto& [name, inode] : names_)
        image[name] = inode->cache;
    return image;
}

Bytes* SimulatedDisk::content(const std::string& name) {
    const auto found = names_.find(name);
    return found == names_.end() ? nullptr : &found->second->cache;
}

}  // namespace shmq::fault

// A disk with faults, for one directory, in memory.
//
// The model. Each file has what the medium holds, and what reads see (the page cache). A write
// changes the second, in sectors of 512 bytes, and waits in the cache until a sync of the file
// brings it to the medium. A power loss keeps the medium, and of each sector written since any
// version that it ever had, or a torn one: in any order, each sector for itself. The first sector
// of a file, its header, is written whole or not at all, as sectors of real disks are. Names made
// and removed since the last sync of the directory are kept or lost one by one.
//
// A write or sync that fails with EIO behaves like ext4 as it was seen: reads see the new bytes,
// the medium keeps the old ones, and later syncs answer 0.
//
// Operations complete in run(), one a call, in the order they came or in any (`reorder`). All
// choices come from one seed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "daemon/journal/disk.hpp"

namespace shmq::fault {

using Bytes = std::vector<std::byte>;

// What power loss leaves.
using Image = std::map<std::string, Bytes>;

class SimulatedDisk final : public journal::Disk {
  public:
    explicit SimulatedDisk(std::uint64_t seed) : random_(seed) {}
    SimulatedDisk(std::uint64_t seed, const Image& image);

    int list(std::vector<std::string>& names) override;
    int open(const std::string& name, std::unique_ptr<journal::File>& file,
             std::uint64_t& bytes) override;
    int create(const std::string& name, std::unique_ptr<journal::File>& file) override;
    int remove(const std::string& name) override;
    int rename(const std::string& from, const std::string& to) override;
    std::int64_t read_now(journal::File& file, std::uint64_t offset,
                          std::span<std::byte> into) override;
    void write(journal::File& file, std::uint64_t offset, std::vector<iovec> pieces,
               journal::Done done) override;
    void read(journal::File& file, std::uint64_t offset, std::span<std::byte> into,
              journal::Done done) override;
    void allocate(journal::File& file, std::uint64_t bytes, journal::Done done) override;
    void sync(journal::File& file, journal::Done done) override;
    void sync_directory(journal::Done done) override;
    bool run(bool wait) override;

    // Faults. 0 errors: none. Each counts down by one with every operation of its kind, and strikes
    // when it comes to 0.
    std::uint64_t capacity_bytes = UINT64_MAX;  // of all files, removed ones that are open, too
    int fail_write_in = 0;
    int fail_sync_in = 0;
    bool short_moves = false;  // reads and writes move any number of bytes
    bool reorder = false;
    bool torn_sectors = true;
    // Sectors that cannot be read: name, first byte.
    std::optional<std::pair<std::string, std::uint64_t>> unreadable;

    // Reads that were done of those started, and the bytes that they asked for.
    std::uint64_t reads = 0;
    std::uint64_t bytes_read = 0;

    // The process dies: nobody hears of completions any more, and run() does nothing until
    // restarted(). What was under way is yet to be done, then, among the successor's operations.
    void process_died();
    void restarted() { dead_ = false; }

    // What is left when the power goes now: chosen by `random`, or the extremes.
    enum class Loss { nothing, everything, any };
    Image power_loss(Loss loss, std::mt19937_64& random) const;
    // How many sectors are written and not synced, and names not synced.
    std::size_t unsynced() const;
    // As reads see it.
    Image seen() const;
    Bytes* content(const std::string& name);

  private:
    struct Inode {
        Bytes medium;
        Bytes cache;
        std::map<std::uint64_t, std::vector<Bytes>> dirty;  // sector: versions since the last sync
        int handles = 0;                                    // that have it open
    };
    struct Handle : journal::File {
        explicit Handle(std::shared_ptr<Inode> node) : inode(std::move(node)) { ++inode->handles; }
        ~Handle() override { --inode->handles; }
        Handle(const Handle&) = delete;
        Handle& operator=(const Handle&) = delete;
        std::shared_ptr<Inode> inode;
    };
    struct Operation {
        std::function<std::int64_t()> apply;
        journal::Done done;
        bool barrier = false;  // a sync: nothing passes it
        Inode* inode = nullptr;
        std::function<void()> freeze;  // lets go of the owner's memory: it is about to go
    };

    static Inode& inode_of(journal::File& file) { return *static_cast<Handle&>(file).inode; }
    void start(Inode* inode, bool barrier, std::function<std::int64_t()> apply, journal::Done done);
    std::int64_t apply_write(Inode& inode, std::uint64_t offset, const Bytes& bytes);
    void put(Inode& inode, std::uint64_t offset, const Bytes& bytes);
    std::uint64_t used_bytes() const;
    Operation take_next();
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    std::mt19937_64 random_;
    std::map<std::string, std::shared_ptr<Inode>> names_;
    std::vector<std::weak_ptr<Inode>> removed_;  // some of them may be open
    std::map<std::string, std::shared_ptr<Inode>> names_on_medium_;
    std::deque<Operation> operations_;
    bool dead_ = false;
};

}  // namespace shmq::fault

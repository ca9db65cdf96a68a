// The real disk: one directory. Reading for start-up and tools is done at once, by plain calls;
// what is started is done by the engine that all directories share.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "daemon/journal/disk.hpp"
#include "daemon/journal/engine.hpp"

namespace shmq::journal {

// Names in an open directory but for `.` and `..`; errno.
int list_names(int directory, std::vector<std::string>& names);

class Directory final : public Disk {
  public:
    enum class Use {
        read,   // for tools: takes no lock, changes nothing
        write,  // one at a time: takes the lock file, makes it if need be
    };
    // The error is a sentence that names the directory, what is wrong and what to do. To be written
    // to, a directory must belong to this user, and to nobody else the right to write there.
    static std::expected<std::unique_ptr<Directory>, std::string> open(
        const std::string& path, Use use, std::shared_ptr<Engine> engine);
    // With a thread of its own, made when something is started: for tools.
    static std::expected<std::unique_ptr<Directory>, std::string> open(const std::string& path,
                                                                       Use use);

    int list(std::vector<std::string>& names) override;
    int open(const std::string& name, std::unique_ptr<File>& file, std::uint64_t& bytes) override;
    int create(const std::string& name, std::unique_ptr<File>& file) override;
    int remove(const std::string& name) override;
    int rename(const std::string& from, const std::string& to) override;
    std::int64_t read_now(File& file, std::uint64_t offset, std::span<std::byte> into) override;
    void write(File& file, std::uint64_t offset, std::vector<iovec> pieces, Done done) override;
    void read(File& file, std::uint64_t offset, std::span<std::byte> into, Done done) override;
    void allocate(File& file, std::uint64_t bytes, Done done) override;
    void sync(File& file, Done done) override;
    void sync_directory(Done done) override;
    // The engine's: what others started completes here, too.
    bool run(bool wait) override { return engine_->run(wait); }

    static constexpr const char* lock_name = "lock";

  private:
    Directory(Fd directory, Fd lock, std::shared_ptr<Engine> engine)
        : directory_(std::move(directory)), lock_(std::move(lock)), engine_(std::move(engine)) {}

    Fd directory_;
    Fd lock_;
    std::shared_ptr<Engine> engine_;
};

}  // namespace shmq::journal

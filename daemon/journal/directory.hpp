// The real disk: one directory, by plain system calls. Reading for start-up and tools is done at
// once; what is started is done by a thread of the directory's own, one operation after the other,
// so that nobody but it waits for the medium.
#pragma once

#include <condition_variable>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/fd.hpp"
#include "daemon/journal/disk.hpp"

namespace shmq::journal {

class Directory final : public Disk {
  public:
    enum class Use {
        read,   // for tools: takes no lock, changes nothing
        write,  // one at a time: takes the lock file, makes it if need be
    };
    // The error is a sentence that names the directory, what is wrong and what to do. To be written
    // to, a directory must belong to this user, and to nobody else the right to write there.
    static std::expected<std::unique_ptr<Directory>, std::string> open(const std::string& path,
                                                                       Use use);
    // Waits for what is under way.
    ~Directory() override;

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
    bool run(bool wait) override;

    // Readable while run() has something to do: for the loop that waits.
    int descriptor() const { return ready_.get(); }

    static constexpr const char* lock_name = "lock";

  private:
    struct Operation {
        std::function<std::int64_t()> call;
        Done done;
    };

    Directory(Fd directory, Fd lock, Fd ready);
    void start(std::function<std::int64_t()> call, Done done);
    void work();

    Fd directory_;
    Fd lock_;
    Fd ready_;  // eventfd
    std::mutex mutex_;
    std::condition_variable work_came_;
    std::condition_variable work_done_;
    std::deque<Operation> operations_;
    std::deque<std::pair<Done, std::int64_t>> finished_;
    std::size_t under_way_ = 0;  // started and not yet told of
    bool stopping_ = false;
    std::thread worker_;  // made with the first operation
};

}  // namespace shmq::journal

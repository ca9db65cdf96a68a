// A disk that counts what passes through to another.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "daemon/journal/disk.hpp"

namespace shmq::bench {

class CountingDisk final : public journal::Disk {
  public:
    explicit CountingDisk(journal::Disk& disk) : disk_(disk) {}

    std::uint64_t writes = 0;  // without those of files' headers
    std::uint64_t bytes_written = 0;
    std::uint64_t syncs = 0;

    int list(std::vector<std::string>& names) override { return disk_.list(names); }
    int open(const std::string& name, std::unique_ptr<journal::File>& file,
             std::uint64_t& bytes) override {
        return disk_.open(name, file, bytes);
    }
    int create(const std::string& name, std::unique_ptr<journal::File>& file) override {
        return disk_.create(name, file);
    }
    int remove(const std::string& name) override { return disk_.remove(name); }
    int rename(const std::string& from, const std::string& to) override {
        return disk_.rename(from, to);
    }
    std::int64_t read_now(journal::File& file, std::uint64_t offset,
                          std::span<std::byte> into) override {
        return disk_.read_now(file, offset, into);
    }
    void write(journal::File& file, std::uint64_t offset, std::vector<iovec> pieces,
               journal::Done done) override {
        if (offset != 0) ++writes;
        for (const iovec& piece : pieces)
            bytes_written += piece.iov_len;
        disk_.write(file, offset, std::move(pieces), std::move(done));
    }
    void read(journal::File& file, std::uint64_t offset, std::span<std::byte> into,
              journal::Done done) override {
        disk_.read(file, offset, into, std::move(done));
    }
    void allocate(journal::File& file, std::uint64_t bytes, journal::Done done) override {
        disk_.allocate(file, bytes, std::move(done));
    }
    void sync(journal::File& file, journal::Done done) override {
        ++syncs;
        disk_.sync(file, std::move(done));
    }
    void sync_directory(journal::Done done) override { disk_.sync_directory(std::move(done)); }
    bool run(bool wait) override { return disk_.run(wait); }

  private:
    journal::Disk& disk_;
};

}  // namespace shmq::bench

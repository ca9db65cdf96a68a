// The bytes of one file, read in order a step ahead of who uses them: while one piece is used, the
// next is on its way. Nothing is read before something is asked for.
//
// Memory: two buffers of 512 KiB, and for as long as a larger stretch is asked for at once, that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daemon/journal/disk.hpp"

namespace shmq::journal {

class ReadAhead {
  public:
    // `changed` runs from Disk::run, when bytes() may have a new answer. `disk` outlives this.
    ReadAhead(Disk& disk, std::function<void()> changed)
        : disk_(disk), changed_(std::move(changed)) {}
    // Does not wait for what is under way: nobody hears of it.
    ~ReadAhead() { next_->owner = nullptr; }
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;

    void open(std::shared_ptr<File> file);
    // Holds it open no longer than what is being read of it takes.
    void close() { open(nullptr); }
    // Bytes before `end` may be read from now on. It never falls for one file.
    void reach(std::uint64_t end) { limit_ = end; }

    // At least those from `from` to `to`, which stay until the next call; none: they are being
    // read, and those of the call before are gone. What lies before `from` is let go. REQUIRES:
    // `from` never falls, `to` is within reach.
    std::optional<std::span<const std::byte>> bytes(std::uint64_t from, std::uint64_t to);
    // Why bytes among them are zeros, for they could not be read; or empty. Told once.
    std::string take_error() { return std::exchange(front_.error, {}); }

  private:
    // Bytes of the file from `begin` to `end`, behind `head` free ones.
    struct Buffer {
        std::vector<std::byte> memory;
        std::size_t head = 0;
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
        std::string error;

        std::uint64_t size() const { return end - begin; }
        std::byte* at(std::uint64_t offset) { return memory.data() + head + (offset - begin); }
        void make_room(std::size_t bytes);
    };
    // A read, and what it filled; it may outlive who started it.
    struct Reading {
        ReadAhead* owner = nullptr;
        std::shared_ptr<File> file;
        Buffer buffer;
        std::uint64_t goal = 0;  // of buffer.end
        bool busy = false;
    };

    void start(std::uint64_t from, std::uint64_t to, std::size_t head);
    void step();
    void meet(std::uint64_t asked, std::int64_t result);
    void join(std::uint64_t from);

    Disk& disk_;
    std::function<void()> changed_;
    std::uint64_t limit_ = 0;
    std::uint64_t step_bytes_ = 0;  // of one read: less where bytes cannot be read
    Buffer front_;                  // in use
    std::shared_ptr<Reading> next_ = std::make_shared<Reading>();
};

}  // namespace shmq::journal

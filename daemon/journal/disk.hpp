// The seam between the journal and the world: the files of one directory. The real one is
// directory.hpp; tests/fault has one that loses, tears and refuses by a seed.
//
// Errors are errno values. What is started here completes later, in run(), never inside the call
// that started it, in any order. Buffers and files must live until then. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sys/uio.h>

namespace shmq::journal {

class File {
  public:
    virtual ~File() = default;
};

// Bytes (at least one: reading at the end of the file gives 0), 0 of what moves none, or -errno.
using Done = std::function<void(std::int64_t result)>;

class Disk {
  public:
    virtual ~Disk() = default;

    // At once; 0 or errno. None of them waits for the medium.
    virtual int list(std::vector<std::string>& names) = 0;
    // An existing file, to be read.
    virtual int open(const std::string& name, std::unique_ptr<File>& file,
                     std::uint64_t& bytes) = 0;
    // A new, empty file, to be read and written; EEXIST if there is one.
    virtual int create(const std::string& name, std::unique_ptr<File>& file) = 0;
    virtual int remove(const std::string& name) = 0;
    virtual int rename(const std::string& from, const std::string& to) = 0;
    // Reads at once and may wait for the medium: for start-up and tools. Short only at the end.
    virtual std::int64_t read_now(File& file, std::uint64_t offset, std::span<std::byte> into) = 0;

    // Started; may move fewer bytes than asked for.
    virtual void write(File& file, std::uint64_t offset, std::vector<iovec> pieces, Done done) = 0;
    virtual void read(File& file, std::uint64_t offset, std::span<std::byte> into, Done done) = 0;
    // Room for so many bytes, as the file's size. ENOSPC comes here rather than later.
    virtual void allocate(File& file, std::uint64_t bytes, Done done) = 0;
    // What was written before survives power loss when this answers 0. After any other answer
    // nothing is known of it, whatever a later sync says.
    virtual void sync(File& file, Done done) = 0;
    // The same for names made, removed and changed.
    virtual void sync_directory(Done done) = 0;

    // Runs what has completed; with `wait`, at least one. False: nothing is under way.
    virtual bool run(bool wait) = 0;
};

}  // namespace shmq::journal

// What moves the journals' bytes: one for all directories of a daemon, so that they share one ring
// or one thread. io_uring where the system allows it; else plain calls, one after the other, on a
// thread of its own. Either way nobody but it waits for the medium.
//
// One thread calls all of this. Completions run in run(), never inside the call that started them,
// and in any order. What is started must keep its descriptor open and its buffers where they are
// until then.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "daemon/journal/disk.hpp"

namespace shmq::journal {

enum class EngineChoice { automatic, uring, thread };

class Engine {
  public:
    // `refusal`: why io_uring is not used, empty if it is or nobody asked for it. Null if `choice`
    // cannot be had.
    static std::unique_ptr<Engine> create(EngineChoice choice, std::string& refusal);
    // Waits for what is under way; nobody hears of it.
    virtual ~Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    virtual const char* name() const = 0;

    // False: since the last time that this was asked its thread has had work and begun none, nor is
    // any under way: it hangs. One that waits for the medium does not.
    virtual bool turns() { return true; }

    // As in disk.hpp.
    void write(int fd, std::uint64_t offset, std::vector<iovec> pieces, Done done);
    void read(int fd, std::uint64_t offset, std::span<std::byte> into, Done done);
    void allocate(int fd, std::uint64_t bytes, Done done);
    void sync_data(int fd, Done done);
    void sync_all(int fd, Done done);

    // Runs what has completed; with `wait`, at least one. False: nothing is under way. May be
    // called by a completion.
    bool run(bool wait);
    // Readable while run() has something to do: for the loop that waits.
    int descriptor() const { return ready_.get(); }

  protected:
    enum class Call { write, read, allocate, sync_data, sync_all };
    struct Operation {
        Call call;
        int fd;
        std::uint64_t offset;  // of allocate: bytes
        std::vector<iovec> pieces;
        Done done;
    };

    explicit Engine(Fd ready) : ready_(std::move(ready)) {}
    virtual void submit(std::unique_ptr<Operation> operation) = 0;
    // Calls finished() for what has completed; with `wait`, at least one.
    virtual void collect(bool wait) = 0;
    void finished(std::unique_ptr<Operation> operation, std::int64_t result);
    // By a plain call, at once. A sync that a signal interrupts has not failed, but none is tried
    // twice either: it counts as EIO.
    static std::int64_t perform(const Operation& operation);

    Fd ready_;  // eventfd

  private:
    void start(Call call, int fd, std::uint64_t offset, std::vector<iovec> pieces, Done done);

    std::deque<std::pair<Done, std::int64_t>> finished_;
    std::size_t under_way_ = 0;  // started and not yet told of
};

// Null and `refusal` filled where the system refuses.
std::unique_ptr<Engine> create_uring_engine(Fd ready, std::string& refusal);
std::unique_ptr<Engine> create_thread_engine(Fd ready);

}  // namespace shmq::journal

// A durable or spill log driven at random on a simulated disk, with a record of what was promised.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "daemon/journal/recovery.hpp"
#include "daemon/journal/writer.hpp"
#include "fault/simulated_disk.hpp"

namespace shmq::fault {

constexpr journal::Identity queue_identity{1, 2, 3};
constexpr journal::Identity memory_identity{9, 8, 7};

Bytes payload_of(std::uint64_t id, std::size_t bytes);

// The content of a message that recovery says is live.
struct ReadBack {
    std::uint64_t lsn = 0;
    std::uint64_t id = 0;
    Bytes payload;
};
// In the order of the log; fails the test where a live message cannot be found.
std::vector<ReadBack> read_live(SimulatedDisk& disk, const journal::Recovered& recovered);

class LogRig {
  public:
    LogRig(journal::LogKind kind, std::uint64_t seed, bool synced = true);

    // One random thing: append, settle, trim, or let the disk do something.
    void act();
    // Until nothing is under way.
    void settle_down();

    // Every kind of image of a power loss at this moment is recovered and checked; `images` random
    // ones besides the two extremes.
    void check_power_loss(int images);
    // The daemon dies, what it had under way lands among what its successor does.
    void restart_process();
    // The same after the disk failed: reads may show what a sync never reached, and what was logged
    // then may be gone.
    void restart_after_failure();
    // The power goes, the log starts again from one image.
    void restart_after_power_loss();

    journal::Writer& writer() { return *writer_; }
    SimulatedDisk& disk() { return *disk_; }
    std::size_t live() const { return live_.size(); }
    std::size_t images_checked() const { return images_checked_; }

  private:
    struct Sent {
        std::uint64_t lsn = 0;
        std::size_t bytes = 0;
        std::uint64_t settled_lsn = 0;  // of the record that says so; 0: not settled
        // The record that settles it was under way when its writer died, and may land late.
        bool may_be_settled = false;
    };

    void start(const journal::Recovered& recovered);
    journal::Recovered recover_checked(SimulatedDisk& disk, std::uint64_t safe);
    // The books follow what a successor found.
    void follow(const journal::Recovered& recovered, const std::vector<ReadBack>& found);
    void append();
    void settle();

    journal::LogKind kind_;
    bool synced_;
    std::mt19937_64 random_;
    // Before disk and writer, for they read from them to their own end.
    std::vector<std::unique_ptr<Bytes>> payloads_;
    std::unique_ptr<SimulatedDisk> disk_;
    std::unique_ptr<journal::Writer> writer_;
    std::map<std::uint64_t, Sent> sent_;  // by id
    // Not there when a successor looked: such a write may land until the successor's own file
    // counts.
    std::map<std::uint64_t, Sent> late_;
    std::map<std::uint64_t, std::uint64_t> live_;  // LSN to id, not settled
    std::uint64_t next_id_ = 1;
    std::size_t images_checked_ = 0;
};

}  // namespace shmq::fault

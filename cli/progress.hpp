// A line on the terminal that says how far a stream has come; silent where nobody looks.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace shmq::cli {

class Progress {
  public:
    // `data_fd` is where the data goes or comes from: on a terminal the data itself is the
    // progress.
    explicit Progress(int data_fd);
    ~Progress();  // leaves the last state on the screen
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void add(std::uint64_t messages, std::uint64_t bytes) {
        messages_ += messages;
        bytes_ += bytes;
        if (active_) update();
    }
    std::uint64_t messages() const { return messages_; }

  private:
    using Clock = std::chrono::steady_clock;

    void update();
    void draw(double seconds, std::uint64_t messages);

    bool active_;
    bool drawn_ = false;
    std::uint64_t messages_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t messages_shown_ = 0;
    Clock::time_point start_ = Clock::now();
    Clock::time_point shown_ = start_;
};

// `1,234,567 messages  2,345,678/s  64 MiB`
std::string progress_line(std::uint64_t messages, std::uint64_t bytes, double messages_per_second);

}  // namespace shmq::cli

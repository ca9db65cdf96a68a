#include "cli/progress.hpp"

#include <unistd.h>

#include <fmt/format.h>

#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr std::chrono::milliseconds redraw_interval{200};

void put(const std::string& text) {
    // It is only a picture; if the terminal does not want it, the data matters more.
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

}  // namespace

std::string progress_line(std::uint64_t messages, std::uint64_t bytes, double messages_per_second) {
    const auto rate = messages_per_second < 0 ? 0 : static_cast<std::uint64_t>(messages_per_second);
    return fmt::format("{} messages  {}/s  {}", format_count(messages), format_count(rate),
                       format_size(bytes));
}

Progress::Progress(int data_fd) : active_(::isatty(STDERR_FILENO) == 1 && ::isatty(data_fd) == 0) {}

Progress::~Progress() {
    if (!drawn_) return;
    const std::chrono::duration<double> whole = Clock::now() - start_;
    draw(whole.count(), messages_);
    put("\n");
}

void Progress::update() {
    const auto now = Clock::now();
    if (now - shown_ < redraw_interval) return;
    const std::chrono::duration<double> passed = now - shown_;
    draw(passed.count(), messages_ - messages_shown_);
    shown_ = now;
    messages_shown_ = messages_;
}

void Progress::draw(double seconds, std::uint64_t messages) {
    const double rate = seconds > 0 ? static_cast<double>(messages) / seconds : 0;
    put("\r" + progress_line(messages_, bytes_, rate) + "\x1b[K");
    drawn_ = true;
}

}  // namespace shmq::cli

#include "report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace demo {
namespace {

constexpr std::size_t duplicates_shown_max = 1000;
constexpr double seconds_between_draws = 0.1;

void row(const char* name, const std::string& value, const std::string& note = {}) {
    std::printf("  %-20s %14s%s%s\n", name, value.c_str(), note.empty() ? "" : "   ", note.c_str());
}

std::string microseconds(std::uint64_t nanoseconds) {
    return with_commas(nanoseconds / 1000) + " us";
}

void print_table(const Run& run, const Books& books) {
    const double seconds = std::max(run.seconds, 1e-9);
    char text[64];
    std::printf("\n");
    row("messages", with_commas(run.messages));
    row("bytes", with_commas(run.bytes));
    std::snprintf(text, sizeof(text), "in %.2f s, %.0f MB/s", run.seconds,
                  static_cast<double>(run.bytes) / seconds / 1e6);
    row("throughput",
        with_commas(static_cast<std::uint64_t>(static_cast<double>(run.messages) / seconds)) + "/s",
        text);
    row("time in queue p50", microseconds(run.time_in_queue.quantile(0.50)),
        "the producers keep the queue full: this is");
    row("time in queue p99", microseconds(run.time_in_queue.quantile(0.99)),
        "waiting in line, not the price of a hand-over");
    if (run.kill_to_redelivery_ms >= 0) {
        std::snprintf(text, sizeof(text), "first one %.1f ms after the kill",
                      run.kill_to_redelivery_ms);
    } else {
        std::snprintf(text, sizeof(text), "the killed consumer held nothing");
    }
    row("redelivered", with_commas(books.redelivered), text);
    row("duplicated", with_commas(books.duplicated),
        "booked by the killed consumer, but not acked");
    row("lost", with_commas(books.lost));
}

void print_duplicates(const Books& books) {
    if (books.duplicates.empty()) return;
    std::printf("\nduplicates, each with all its receipts:\n");
    for (std::size_t i = 0; i < std::min(books.duplicates.size(), duplicates_shown_max); ++i)
        std::printf("  %s\n", books.duplicates[i].c_str());
    if (books.duplicates.size() > duplicates_shown_max) {
        std::printf("  and %zu more\n", books.duplicates.size() - duplicates_shown_max);
    }
}

}  // namespace

std::string with_commas(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t place = text.size(); place > 3; place -= 3)
        text.insert(place - 3, ",");
    return text;
}

bool print_report(const Run& run, const Books& books) {
    print_duplicates(books);
    print_table(run, books);
    const auto check = [](bool good, const char* what) {
        std::printf("  %s  %s\n", good ? "ok    " : "FAILED", what);
    };
    std::printf("\nchecked against %s lines, read again:\n", with_commas(books.lines).c_str());
    check(books.lost == 0, "every line came at least once");
    check(books.lost == 0 && books.foreign == 0 && run.messages == books.lines,
          "counted once each, what came is what the files hold");
    check(books.unmarked == 0, "every duplicate carried the redelivered mark");
    for (const std::string& fault : books.faults)
        std::printf("  %s\n", fault.c_str());
    const bool good = books.balanced() && run.messages == books.lines;
    std::printf("\nlost %llu\n", static_cast<unsigned long long>(books.lost));
    return good;
}

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::show(double share, std::uint64_t messages, double seconds) {
    if (!terminal_ || (drawn_ && seconds - drawn_at_ < seconds_between_draws)) return;
    drawn_at_ = seconds;
    constexpr int width = 30;
    const int done = static_cast<int>(std::clamp(share, 0.0, 1.0) * width);
    std::fprintf(stderr, "\r  [%.*s%*s] %3.0f %%  %s received  %.1f s\033[K", done,
                 "==============================", width - done, "", share * 100,
                 with_commas(messages).c_str(), seconds);
    drawn_ = true;
}

void Progress::say(const std::string& text) {
    clear();
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
}

void Progress::clear() {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    drawn_ = false;
}

}  // namespace demo

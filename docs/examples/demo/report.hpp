// What the demo prints.
#pragma once

#include <cstdint>
#include <string>

#include "books.hpp"
#include "ledger.hpp"

namespace demo {

// What the run itself measured; the books are made afterwards.
struct Run {
    std::uint64_t messages = 0;  // sent
    std::uint64_t bytes = 0;
    double seconds = 0;  // from the start signal to the last ack
    double kill_to_redelivery_ms = -1;
    Histogram time_in_queue;
};

// 1234567 as "1,234,567".
std::string with_commas(std::uint64_t number);

// Prints the duplicates, the table, and the check with its faults. Returns whether all is well.
bool print_report(const Run& run, const Books& books);

// One line that is drawn over again, on a terminal only.
class Progress {
  public:
    Progress();
    ~Progress() { clear(); }
    void show(double share, std::uint64_t messages, double seconds);
    // Prints a line that stays.
    void say(const std::string& text);
    void clear();

  private:
    bool terminal_;
    bool drawn_ = false;
    double drawn_at_ = 0;
};

}  // namespace demo

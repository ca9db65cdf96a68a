// shmq top: what it knows (Model) and how it is shown (Screen). The model asks the daemon for
// counts, and reads ages and histograms from the queues' memory, which disturbs nobody.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/members.hpp"
#include "client/session.hpp"
#include "shm/histogram.hpp"

namespace shmq::cli {

struct Latency {
    shm::HistogramCounts counts{};  // since the look before, or ever
    std::uint64_t samples() const;
    // What that part of the samples stays below; nothing without samples.
    std::optional<std::chrono::nanoseconds> quantile(double part) const;
};

struct QueueLook {
    QueueInfo info;
    double sent_rate = 0, acked_rate = 0, bytes_rate = 0, again_rate = 0;  // a second
    bool seen_inside = false;  // we may look into its memory; else the rest is unknown
    std::optional<std::chrono::nanoseconds> oldest_waiting, oldest_unacked;
    Latency in_queue, in_hand;            // since the look before
    Latency in_queue_ever, in_hand_ever;  // since the queue was made
};

class TopModel {
  public:
    explicit TopModel(const Context& context) : context_(context) {}

    // Looks again. Failure: nobody answers; what was seen before stays.
    void refresh();
    const std::vector<QueueLook>& queues() const { return queues_; }
    const QueueLook* find(const std::string& name) const;
    std::vector<Member> members(const std::string& queue);
    const DaemonInfo& daemon() const { return daemon_; }

  private:
    struct Memory {
        Attachment attachment;
        shm::HistogramCounts in_queue, in_hand;
    };
    void look_inside(QueueLook& look);
    Client& client();

    const Context& context_;
    std::optional<Client> client_;
    DaemonInfo daemon_;
    std::vector<QueueLook> queues_;
    std::chrono::steady_clock::time_point looked_at_;
    std::map<std::string, Memory> memory_;
};

Json to_json(const QueueLook& look);

// ---- What is on the screen ---------------------------------------------------------------------

enum class SortBy {
    name,
    ready,
    leased,
    sent,
    acked,
    oldest,
    unacked,
    latency,
    spilled,
    consumers
};
constexpr std::size_t sort_count = 10;
std::string_view title_of(SortBy by);

struct TopView {
    SortBy sort = SortBy::ready;
    bool reverse = false;
    std::string filter;
    std::string selected;  // name of a queue
    bool detail = false;   // that queue alone
    std::chrono::nanoseconds interval{0};
    std::string problem;  // why what is shown is old
};

struct TopLine {
    std::string text;
    enum class Look { plain, title, selected, alarm } look = Look::plain;
};
// In the order in which they are shown, those that the filter lets through.
std::vector<const QueueLook*> arranged(const TopModel& model, const TopView& view);
// All lines of the screen, cut to it. `members`: of the selected queue, for the detail.
std::vector<TopLine> draw(const TopModel& model, const TopView& view,
                          const std::vector<Member>& members, std::size_t columns,
                          std::size_t lines);

// The terminal, from here to the end of the object. Failure where it is none.
class TopScreen {
  public:
    TopScreen();
    ~TopScreen();
    TopScreen(const TopScreen&) = delete;
    TopScreen& operator=(const TopScreen&) = delete;

    enum class Key {
        none,
        quit,
        up,
        down,
        page_up,
        page_down,
        enter,
        back,
        sort,
        reverse,
        filter,
        faster,
        slower,
        text,
        erase,
        resized,
        other
    };
    struct Pressed {
        Key key = Key::none;
        char letter = 0;
    };
    // Waits for a key so long, at most. `typing`: letters are text.
    Pressed wait(std::chrono::milliseconds patience, bool typing);
    std::size_t columns() const;
    std::size_t lines() const;
    void show(const std::vector<TopLine>& text);
};

}  // namespace shmq::cli

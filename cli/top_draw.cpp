// What top shows, as lines of text: no terminal is needed to see whether they are right.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cli/table.hpp"
#include "cli/text.hpp"
#include "cli/top.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr std::array<std::string_view, sort_count> sort_titles{
    "NAME", "READY", "HELD", "IN/s", "OUT/s", "OLDEST", "UNACK", "P99", "SPILL", "CONS"};

// Four digits at most: `950`, `9.5k`, `95k`, `1.2M`.
std::string short_count(double number) {
    constexpr std::array<std::string_view, 5> units{"", "k", "M", "G", "T"};
    std::size_t unit = 0;
    while (number >= 999.5 && unit + 1 < units.size()) {
        number /= 1000;
        ++unit;
    }
    if (unit == 0 && number < 10 && number != std::floor(number)) {
        return fmt::format("{:.1f}", number);
    }
    return fmt::format("{:.{}f}{}", number, unit > 0 && number < 9.95 ? 1 : 0, units[unit]);
}

std::string short_count(std::uint64_t number) {
    return short_count(static_cast<double>(number));
}

std::string short_duration(std::chrono::nanoseconds duration) {
    const auto ns = static_cast<double>(duration.count());
    const auto text = [](double value, std::string_view unit) {
        return fmt::format("{:.{}f}{}", value, value < 9.95 ? 1 : 0, unit);
    };
    if (ns < 1e6) return text(ns / 1e3, "us");
    if (ns < 1e9) return text(ns / 1e6, "ms");
    if (ns < 120e9) return text(ns / 1e9, "s");
    if (ns < 7200e9) return text(ns / 60e9, "m");
    if (ns < 48 * 3600e9) return text(ns / 3600e9, "h");
    return text(ns / (24 * 3600e9), "d");
}

std::string age_text(const std::optional<std::chrono::nanoseconds>& age) {
    return age ? short_duration(*age) : "-";
}

std::string latency_text(const Latency& latency) {
    const auto middle = latency.quantile(0.99);
    return middle ? "<" + short_duration(*middle) : "-";
}

double weight_of(const QueueLook& look, SortBy by) {
    const auto seconds = [](const std::optional<std::chrono::nanoseconds>& time) {
        return time ? static_cast<double>(time->count()) : -1.0;
    };
    switch (by) {
        case SortBy::name:
            return 0;
        case SortBy::ready:
            return static_cast<double>(look.info.ready + look.info.returned);
        case SortBy::leased:
            return static_cast<double>(look.info.leased);
        case SortBy::sent:
            return look.sent_rate;
        case SortBy::acked:
            return look.acked_rate;
        case SortBy::oldest:
            return seconds(look.oldest_waiting);
        case SortBy::unacked:
            return seconds(look.oldest_unacked);
        case SortBy::latency:
            return seconds(look.in_queue.quantile(0.99));
        case SortBy::spilled:
            return static_cast<double>(look.info.spilled);
        case SortBy::consumers:
            return static_cast<double>(look.info.consumers);
    }
    return 0;
}

bool is_alarming(const QueueLook& look) {
    return look.info.quarantined || !look.info.alarm.empty();
}

// The lines of a table, its title first.
std::vector<std::string> lines_of(const Table& table, std::size_t columns) {
    const std::string text = table.text(false, columns);
    std::vector<std::string> lines;
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t end = text.find('\n', from);
        lines.push_back(cut_to(text.substr(from, end - from), columns));
        from = end + 1;
    }
    return lines;
}

void draw_list(const TopModel& model, const TopView& view, std::size_t columns, std::size_t height,
               std::vector<TopLine>& out) {
    using enum Table::Align;
    Table table{{"NAME"},
                {"READY", right},
                {"HELD", right},
                {"IN/s", right},
                {"OUT/s", right},
                {"OLDEST", right},
                {"UNACK", right, 1},
                {"P99", right, 2},
                {"SPILL", right, 3},
                {"CONS", right}};
    const auto queues = arranged(model, view);
    constexpr std::size_t others = 63;  // columns, with the gaps between
    const std::size_t name_most =
        std::clamp<std::size_t>(columns - std::min(columns, others), 12, 48);
    for (const QueueLook* look : queues) {
        table.add_row({cut_to(look->info.name, name_most),
                       short_count(look->info.ready + look->info.returned),
                       short_count(look->info.leased), short_count(look->sent_rate),
                       short_count(look->acked_rate), age_text(look->oldest_waiting),
                       age_text(look->oldest_unacked), latency_text(look->in_queue),
                       short_count(look->info.spilled),
                       short_count(std::uint64_t{look->info.consumers})});
    }
    const std::vector<std::string> lines = lines_of(table, columns);
    out.push_back({lines.front(), TopLine::Look::title});
    const auto chosen = std::find_if(queues.begin(), queues.end(), [&](const QueueLook* each) {
        return each->info.name == view.selected;
    });
    const std::size_t place = static_cast<std::size_t>(chosen - queues.begin());
    const std::size_t shown = height > out.size() ? height - out.size() : 0;
    const std::size_t first = chosen != queues.end() && place >= shown ? place - shown + 1 : 0;
    for (std::size_t i = first; i < queues.size() && i < first + shown; ++i) {
        const auto look = i == place                ? TopLine::Look::selected
                          : is_alarming(*queues[i]) ? TopLine::Look::alarm
                                                    : TopLine::Look::plain;
        out.push_back({lines[i + 1], look});
    }
    if (queues.empty()) {
        out.push_back({model.queues().empty() ? "no queues" : "no queue matches the filter"});
    }
}

std::string bar(std::uint64_t count, std::uint64_t most, std::size_t width) {
    if (most == 0 || count == 0) return {};
    const auto filled = static_cast<std::size_t>(std::ceil(
        static_cast<double>(count) / static_cast<double>(most) * static_cast<double>(width)));
    return std::string(std::min(filled, width), '#');
}

// Both histograms side by side, from the first bucket with anything in it to the last.
void draw_histograms(const QueueLook& look, std::size_t columns, std::vector<TopLine>& out) {
    const auto& queue = look.in_queue_ever.counts.buckets;
    const auto& hand = look.in_hand_ever.counts.buckets;
    std::size_t first = queue.size();
    std::size_t last = 0;
    std::uint64_t most_queue = 0;
    std::uint64_t most_hand = 0;
    for (std::size_t i = 0; i < queue.size(); ++i) {
        if (queue[i] + hand[i] == 0) continue;
        first = std::min(first, i);
        last = i;
        most_queue = std::max(most_queue, queue[i]);
        most_hand = std::max(most_hand, hand[i]);
    }
    if (first > last) {
        out.push_back({"no time samples yet (one message in 64 is measured)"});
        return;
    }
    constexpr std::size_t rows_most = 10;
    const std::size_t step = (last - first) / rows_most + 1;
    const std::size_t width = columns > 40 ? (columns - 26) / 2 : 8;
    out.push_back({fmt::format("{:>8}  {:<{}}{}", "TIME", "IN THE QUEUE", width + 8, "IN HAND"),
                   TopLine::Look::title});
    for (std::size_t i = first; i <= last; i += step) {
        std::uint64_t in_queue = 0;
        std::uint64_t in_hand = 0;
        const std::size_t end = std::min(i + step - 1, last);
        for (std::size_t each = i; each <= end; ++each) {
            in_queue += queue[each];
            in_hand += hand[each];
        }
        const bool open = end + 1 == queue.size();
        const auto bound = short_duration(std::chrono::nanoseconds(
            static_cast<std::int64_t>(shm::bucket_end_ns(open ? end - 1 : end))));
        out.push_back({cut_to(
            fmt::format("{:>8}  {:<{}} {:>5}  {:<{}} {:>5}", (open ? ">=" : "<") + bound,
                        bar(in_queue, most_queue * step, width), width, short_count(in_queue),
                        bar(in_hand, most_hand * step, width), width - 4, short_count(in_hand)),
            columns)});
    }
}

void draw_members(const std::vector<Member>& members, std::size_t columns,
                  std::vector<TopLine>& out) {
    using enum Table::Align;
    Table table{{"ROLE"},          {"PID", right},          {"STATE"},           {"HELD", right},
                {"OLDEST", right}, {"DELIVERED", right, 3}, {"ACKED", right, 2}, {"SENT", right, 1},
                {"EXECUTABLE"}};
    for (const Member& member : members) {
        table.add_row({member.consumer ? "consumer" : "producer",
                       member.pid == 0 ? "-" : std::to_string(member.pid),
                       std::string(1, member.state),
                       member.consumer ? short_count(member.in_flight) : "-",
                       member.in_flight == 0 ? "-" : short_duration(member.oldest_unacked),
                       member.consumer ? short_count(member.delivered) : "-",
                       member.consumer ? short_count(member.acked) : "-",
                       member.consumer ? "-" : short_count(member.sent),
                       member.executable.empty() ? "-" : escape(member.executable)});
    }
    const std::vector<std::string> lines = lines_of(table, columns);
    out.push_back({lines.front(), TopLine::Look::title});
    for (std::size_t i = 0; i < members.size(); ++i) {
        out.push_back(
            {lines[i + 1], members[i].stuck() ? TopLine::Look::alarm : TopLine::Look::plain});
    }
}

void draw_detail(const QueueLook& look, const std::vector<Member>& members, std::size_t columns,
                 std::vector<TopLine>& out) {
    const QueueInfo& info = look.info;
    out.push_back({cut_to(info.name, columns), TopLine::Look::title});
    if (info.quarantined) out.push_back({"QUARANTINED: out of service", TopLine::Look::alarm});
    if (!info.alarm.empty()) {
        out.push_back({cut_to(escape(info.alarm), columns), TopLine::Look::alarm});
    }
    const auto add = [&](std::string text) { out.push_back({cut_to(text, columns)}); };
    add(fmt::format("ready {}  returned {}  leased {}  delayed {}  held {}  of {} slots",
                    format_count(info.ready), format_count(info.returned),
                    format_count(info.leased), format_count(info.delayed), format_count(info.held),
                    format_count(info.options.capacity)));
    add(fmt::format("oldest ready {}  oldest unacked {}  spilled {} ({})",
                    age_text(look.oldest_waiting), age_text(look.oldest_unacked),
                    format_count(info.spilled), format_size(info.spilled_bytes)));
    add(fmt::format("sent {}/s  acked {}/s  again {}/s  {}/s", short_count(look.sent_rate),
                    short_count(look.acked_rate), short_count(look.again_rate),
                    format_size(static_cast<std::uint64_t>(look.bytes_rate))));
    add(fmt::format("in all: sent {}  acked {}  redelivered {}  dropped {}  dead {}",
                    short_count(info.sent), short_count(info.acked), short_count(info.redelivered),
                    short_count(info.dropped), short_count(info.dead_lettered)));
    out.push_back({""});
    draw_histograms(look, columns, out);
    out.push_back({""});
    draw_members(members, columns, out);
}

}  // namespace

std::string_view title_of(SortBy by) {
    return sort_titles[static_cast<std::size_t>(by)];
}

std::vector<const QueueLook*> arranged(const TopModel& model, const TopView& view) {
    std::vector<const QueueLook*> queues;
    for (const QueueLook& look : model.queues()) {
        if (look.info.name.find(view.filter) != std::string::npos) queues.push_back(&look);
    }
    // Names go up, numbers go down; equal ones stay in the order of their names.
    std::stable_sort(queues.begin(), queues.end(), [&](const QueueLook* a, const QueueLook* b) {
        if (view.sort == SortBy::name) {
            return view.reverse ? b->info.name < a->info.name : a->info.name < b->info.name;
        }
        const double left = weight_of(*a, view.sort);
        const double right = weight_of(*b, view.sort);
        return view.reverse ? left < right : right < left;
    });
    return queues;
}

std::vector<TopLine> draw(const TopModel& model, const TopView& view,
                          const std::vector<Member>& members, std::size_t columns,
                          std::size_t lines) {
    std::vector<TopLine> out;
    const DaemonInfo& daemon = model.daemon();
    out.push_back({cut_to(fmt::format("shmq top - pid {}, up {}, {} queues, every {}, by {}{}{}",
                                      daemon.pid, format_duration(daemon.uptime), daemon.queues,
                                      format_duration_exact(view.interval), title_of(view.sort),
                                      view.reverse ? " up" : "",
                                      view.filter.empty() ? "" : ", with '" + view.filter + "'"),
                          columns)});
    const std::size_t body = lines > 1 ? lines - 1 : 1;
    const QueueLook* look = view.detail ? model.find(view.selected) : nullptr;
    if (look != nullptr) {
        draw_detail(*look, members, columns, out);
    } else {
        draw_list(model, view, columns, body, out);
    }
    if (out.size() > body) out.resize(body);
    while (out.size() < body)
        out.push_back({""});
    out.push_back({cut_to(!view.problem.empty() ? view.problem
                          : view.detail         ? "q quit  Esc back to all queues"
                                        : "q quit  Enter one queue  s sort  r turn  / filter  "
                                          "+ - faster, slower",
                          columns),
                   view.problem.empty() ? TopLine::Look::plain : TopLine::Look::alarm});
    return out;
}

}  // namespace shmq::cli

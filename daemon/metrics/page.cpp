#include "daemon/metrics/page.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <span>
#include <string_view>

#include "shm/ages.hpp"
#include "shm/audit.hpp"
#include "shm/histogram.hpp"

namespace shmq::daemon {
namespace {

// What is known of one queue, looked up once.
struct Look {
    std::string label;  // queue="NAME": names have no character that needs care
    wire::Queue queue;
    shm::TotalCounts totals;
    shm::Ages ages;
    Sleeps sleeps;
    shm::HistogramCounts in_queue;
    shm::HistogramCounts in_hand;
    bool has_journal = false;
};

Look look_at(const Queue& queue, Nanoseconds now) {
    Look look;
    look.label = fmt::format("queue=\"{}\"", queue.name());
    look.queue = queue.describe();
    look.totals = shm::count_totals(queue.segment());
    look.ages = shm::ages_of(queue.segment(), now);
    look.sleeps = queue.sleeps();
    look.in_queue = shm::counts_of(queue.segment().header().time_in_queue);
    look.in_hand = shm::counts_of(queue.segment().header().time_in_hand);
    look.has_journal = queue.segment().geometry().has(shm::journal_present);
    return look;
}

double seconds(std::uint64_t ns) {
    return static_cast<double>(ns) * 1e-9;
}

// The lines of one family, under its name.
class Lines {
  public:
    Lines(std::string& text, std::string_view name) : text_(text), name_(name) {}

    template <typename Value>
    void add(std::string_view labels, Value value) {
        text_ += fmt::format("{}{{{}}} {}\n", name_, labels, value);
    }
    template <typename Value>
    void add(std::string_view labels, std::string_view key, std::string_view word, Value value) {
        text_ += fmt::format("{}{{{},{}=\"{}\"}} {}\n", name_, labels, key, word, value);
    }
    template <typename Value>
    void add(Value value) {
        text_ += fmt::format("{} {}\n", name_, value);
    }
    void add(std::string_view labels, const shm::HistogramCounts& counts) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < counts.buckets.size(); ++i) {
            sum += counts.buckets[i];
            const bool last = i + 1 == counts.buckets.size();
            text_ += fmt::format(
                "{}_bucket{{{},le=\"{}\"}} {}\n", name_, labels,
                last ? "+Inf" : fmt::format("{:.9g}", seconds(shm::bucket_end_ns(i))), sum);
        }
        text_ += fmt::format("{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name_, labels,
                             seconds(counts.sum_ns), sum);
    }

  private:
    std::string& text_;
    std::string_view name_;
};

template <typename Of>
struct Family {
    std::string_view name;
    std::string_view type;
    std::string_view help;
    void (*write)(const Of& of, Lines& lines);
};

constexpr Family<Look> queue_families[] = {
    {"shmq_queue_messages", "gauge", "Messages that are there, by state; spilled ones are ready.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, "state", "ready", look.queue.ready);
         lines.add(look.label, "state", "leased", look.queue.leased);
         lines.add(look.label, "state", "returned", look.queue.returned);
         lines.add(look.label, "state", "delayed", look.queue.delayed);
         lines.add(look.label, "state", "held", look.queue.held);
     }},
    {"shmq_queue_capacity_messages", "gauge", "Slots of the ring.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.queue.options.capacity); }},
    {"shmq_queue_memory_bytes", "gauge", "Memory of ring and pool, at most.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.queue.memory_bytes); }},
    {"shmq_queue_participants", "gauge", "Producers and consumers that are attached.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, "role", "producer", look.queue.producers);
         lines.add(look.label, "role", "consumer", look.queue.consumers);
     }},
    {"shmq_queue_oldest_ready_age_seconds", "gauge",
     "Since the oldest message in the ring that waits for a delivery was sent; 0: none.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, seconds(look.ages.oldest_ready_ns));
     }},
    {"shmq_queue_oldest_unacked_age_seconds", "gauge",
     "Since the oldest message was sent that somebody holds; 0: none.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, seconds(look.ages.oldest_unacked_ns));
     }},
    {"shmq_queue_alarm", "gauge", "1: somebody has to look; `shmq info` says why.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, look.queue.alarm.empty() ? 0 : 1);
     }},
    {"shmq_queue_quarantined", "gauge", "1: found damaged, out of service.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.queue.quarantined ? 1 : 0); }},
    {"shmq_queue_paused", "gauge", "1: held up by hand, by role.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, "role", "producer", look.queue.paused_producers ? 1 : 0);
         lines.add(look.label, "role", "consumer", look.queue.paused_consumers ? 1 : 0);
     }},

    {"shmq_queue_sent_messages_total", "counter", "Messages whose send returned.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.sent); }},
    {"shmq_queue_sent_bytes_total", "counter", "Their payload.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.sent_bytes); }},
    {"shmq_queue_delivered_messages_total", "counter", "Deliveries, redeliveries included.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.delivered); }},
    {"shmq_queue_delivered_bytes_total", "counter", "Their payload.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.delivered_bytes); }},
    {"shmq_queue_redelivered_messages_total", "counter",
     "Deliveries that were not the first of their message.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.redelivered); }},
    {"shmq_queue_acked_messages_total", "counter", "Messages that are done.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.acked); }},
    {"shmq_queue_nacked_messages_total", "counter", "Given back by their consumers.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.nacked); }},
    {"shmq_queue_rejected_messages_total", "counter", "Rejected by their consumers.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.rejected); }},
    {"shmq_queue_extended_leases_total", "counter", "Leases that were renewed.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.extended); }},
    {"shmq_queue_stale_verbs_total", "counter",
     "Acks and their like that came after their lease was over.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.stale); }},
    {"shmq_queue_dropped_messages_total", "counter", "Messages lost, by reason.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, "reason", "oldest", look.totals.dropped_oldest);
         lines.add(look.label, "reason", "rejected", look.totals.dropped_rejected);
         lines.add(look.label, "reason", "failed", look.totals.dropped_failed);
         lines.add(look.label, "reason", "damaged", look.totals.dropped_damaged);
     }},
    {"shmq_queue_purged_messages_total", "counter", "Dropped by hand.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.purged); }},
    {"shmq_queue_dead_lettered_messages_total", "counter",
     "Moved to the dead-letter queue, by how the last delivery ended.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, "reason", "rejected", look.totals.dead_rejected);
         lines.add(look.label, "reason", "expired", look.totals.dead_expired);
         lines.add(look.label, "reason", "crashed", look.totals.dead_crashed);
         lines.add(look.label, "reason", "limit", look.totals.dead_limit);
     }},
    {"shmq_queue_moved_in_messages_total", "counter", "Come from another queue.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.moved_in); }},
    {"shmq_queue_redriven_messages_total", "counter", "Moved out by hand.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.redriven); }},
    {"shmq_queue_expired_leases_total", "counter", "Leases that ran out.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.totals.expired); }},
    {"shmq_queue_reclaimed_total", "counter", "Taken back from the dead and hung up, by what.",
     [](const Look& look, Lines& lines) {
         lines.add(look.label, "what", "message", look.totals.reclaimed_leases);
         lines.add(look.label, "what", "send", look.totals.reclaimed_claims);
         lines.add(look.label, "what", "block", look.totals.reclaimed_blocks);
         lines.add(look.label, "what", "participant", look.totals.reclaimed_parties);
     }},
    {"shmq_queue_sleeps_total", "counter", "Times that a producer or consumer slept.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.sleeps.sleeps); }},
    {"shmq_queue_wakes_total", "counter", "Times that one woke another.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.sleeps.wakes); }},
    {"shmq_queue_full_total", "counter", "Sends that found no room at first.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.sleeps.full); }},
    {"shmq_queue_time_in_queue_seconds", "histogram",
     "From send to each delivery, of every 64th message.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.in_queue); }},
    {"shmq_queue_handling_seconds", "histogram", "From delivery to ack, of every 64th message.",
     [](const Look& look, Lines& lines) { lines.add(look.label, look.in_hand); }},

    {"shmq_queue_spilled_messages", "gauge", "In the journal, and not in the ring.",
     [](const Look& look, Lines& lines) {
         if (look.has_journal) lines.add(look.label, look.queue.spilled);
     }},
    {"shmq_queue_spilled_bytes", "gauge", "Their payload.",
     [](const Look& look, Lines& lines) {
         if (look.has_journal) lines.add(look.label, look.queue.spilled_bytes);
     }},
    {"shmq_queue_journal_bytes", "gauge", "Disk space that the journal's files take.",
     [](const Look& look, Lines& lines) {
         if (look.has_journal) lines.add(look.label, look.queue.journal_bytes);
     }},
    {"shmq_queue_journal_limit_bytes", "gauge", "That they may take; 0: as the disk allows.",
     [](const Look& look, Lines& lines) {
         if (look.has_journal) lines.add(look.label, look.queue.options.spill_limit);
     }},
    {"shmq_queue_journal_state", "gauge", "1 under the state that the journal is in.",
     [](const Look& look, Lines& lines) {
         if (!look.has_journal) return;
         for (const auto state : {wire::JournalState::ok, wire::JournalState::no_room,
                                  wire::JournalState::failed, wire::JournalState::recovering}) {
             lines.add(look.label, "state", wire::journal_state_token(state),
                       look.queue.journal == state ? 1 : 0);
         }
     }},
    {"shmq_queue_journal_messages_total", "counter",
     "Messages that reached a level, since this daemon began.",
     [](const Look& look, Lines& lines) {
         if (!look.has_journal) return;
         lines.add(look.label, "level", "logged", look.queue.logged);
         lines.add(look.label, "level", "durable", look.queue.durable);
     }},
    {"shmq_queue_journal_syncs_total", "counter", "Syncs, since this daemon began.",
     [](const Look& look, Lines& lines) {
         if (look.has_journal) lines.add(look.label, look.queue.syncs);
     }},
};

std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    file >> size >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

constexpr Family<DaemonNumbers> daemon_families[] = {
    {"shmqd_info", "gauge", "1; which daemon it is.",
     [](const DaemonNumbers& daemon, Lines& lines) {
         lines.add(fmt::format("version=\"{}\",loop=\"{}\"", daemon.version, daemon.loop), 1);
     }},
    {"shmqd_uptime_seconds", "gauge", "Since it began.",
     [](const DaemonNumbers& daemon, Lines& lines) {
         lines.add(static_cast<double>(monotonic_now() - daemon.started_at) * 1e-9);
     }},
    {"shmqd_queues", "gauge", "Queues that there are.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.queues); }},
    {"shmqd_sessions", "gauge", "Connections of clients.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.sessions); }},
    {"shmqd_client_deaths_total", "counter", "Processes that died attached.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.deaths); }},
    {"shmqd_reclaimed_messages_total", "counter", "Messages given back for them.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.reclaimed); }},
    {"shmqd_restarts_total", "counter", "Daemons before this one whose work it goes on with.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.restarts); }},
    {"shmqd_adopted_queues_total", "counter", "Queues that it took over.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.adopted); }},
    {"shmqd_loop_rounds_total", "counter", "Rounds of its event loop.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.rounds); }},
    {"shmqd_loop_busy_seconds_total", "counter", "Time that it did not wait for events.",
     [](const DaemonNumbers& daemon, Lines& lines) {
         lines.add(static_cast<double>(daemon.busy_ns) * 1e-9);
     }},
    {"shmqd_reloads_total", "counter", "Times that it was told to read its configuration anew.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.reloads); }},
    {"shmqd_last_reload_failed", "gauge", "1: the configuration was wrong; the old one holds.",
     [](const DaemonNumbers& daemon, Lines& lines) { lines.add(daemon.reload_failed ? 1 : 0); }},
    {"shmqd_resident_memory_bytes", "gauge", "Its memory, queues that it has touched included.",
     [](const DaemonNumbers&, Lines& lines) { lines.add(resident_bytes()); }},
};

template <typename Of>
void write_families(std::string& text, std::span<const Family<Of>> families,
                    std::span<const Of> all) {
    for (const Family<Of>& family : families) {
        text +=
            fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", family.name, family.help, family.type);
        Lines lines(text, family.name);
        for (const Of& of : all)
            family.write(of, lines);
    }
}

}  // namespace

std::string metrics_page(const DaemonNumbers& daemon,
                         const std::vector<std::shared_ptr<Queue>>& queues) {
    std::vector<Look> looks;
    const Nanoseconds now = monotonic_now();
    for (const auto& queue : queues)
        looks.push_back(look_at(*queue, now));
    std::string text;
    write_families<DaemonNumbers>(text, daemon_families, {&daemon, 1});
    write_families<Look>(text, queue_families, looks);
    return text;
}

}  // namespace shmq::daemon

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cli/listing.hpp"
#include "cli/observation.hpp"
#include "cli/rates.hpp"
#include "cli/top.hpp"
#include "shm/dump.hpp"

namespace shmq::cli {
namespace {

constexpr std::chrono::seconds daemon_patience{2};
// Above it a look at each slot would take longer than anybody wants to wait for a screen.
constexpr std::uint64_t capacity_looked_through = std::uint64_t{1} << 20;

shm::HistogramCounts less(const shm::HistogramCounts& now, const shm::HistogramCounts& before) {
    shm::HistogramCounts out;
    out.sum_ns = now.sum_ns - std::min(now.sum_ns, before.sum_ns);
    for (std::size_t i = 0; i < out.buckets.size(); ++i)
        out.buckets[i] = now.buckets[i] - std::min(now.buckets[i], before.buckets[i]);
    return out;
}

std::optional<std::chrono::nanoseconds> age_or_nothing(std::uint64_t timestamp) {
    if (timestamp == 0) return std::nullopt;
    return age_of(timestamp);
}

Json latency_json(const Latency& latency) {
    Json json = Json::object();
    json.add("samples", latency.samples());
    for (const auto& [name, part] : {std::pair("p50_ns", 0.5), {"p90_ns", 0.9}, {"p99_ns", 0.99}}) {
        const auto value = latency.quantile(part);
        value ? json.add(name, value->count()) : json.add_null(name);
    }
    return json;
}

}  // namespace

std::uint64_t Latency::samples() const {
    return std::accumulate(counts.buckets.begin(), counts.buckets.end(), std::uint64_t{0});
}

std::optional<std::chrono::nanoseconds> Latency::quantile(double part) const {
    const std::uint64_t all = samples();
    if (all == 0) return std::nullopt;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(all)));
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket + 1 < counts.buckets.size(); ++bucket) {
        seen += counts.buckets[bucket];
        if (seen >= wanted) break;
    }
    return std::chrono::nanoseconds(static_cast<std::int64_t>(shm::bucket_end_ns(bucket)));
}

Client& TopModel::client() {
    if (client_) return *client_;
    ConnectOptions options;
    options.socket = context_.socket;
    options.start_daemon = false;
    options.timeout = daemon_patience;
    client_.emplace(need(Client::connect(options)));
    return *client_;
}

void TopModel::refresh() {
    daemon_ = need(client().status());
    std::vector<QueueInfo> listed = need(client().list());
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::nanoseconds between = now - looked_at_;
    std::vector<QueueLook> looks;
    for (QueueInfo& info : listed) {
        QueueLook look;
        look.info = std::move(info);
        if (const QueueLook* before = find(look.info.name)) {
            const auto rate = [&](std::uint64_t QueueInfo::*value) {
                return rate_of(before->info.*value, look.info.*value, between);
            };
            look.sent_rate = rate(&QueueInfo::sent);
            look.acked_rate = rate(&QueueInfo::acked);
            look.bytes_rate = rate(&QueueInfo::sent_bytes);
            look.again_rate = rate(&QueueInfo::redelivered);
        }
        look_inside(look);
        looks.push_back(std::move(look));
    }
    std::erase_if(memory_, [&](const auto& each) {
        return std::none_of(looks.begin(), looks.end(),
                            [&](const QueueLook& look) { return look.info.name == each.first; });
    });
    queues_ = std::move(looks);
    looked_at_ = now;
}

void TopModel::look_inside(QueueLook& look) {
    const auto closed = [](const Memory& memory) {
        return memory.attachment.segment->header().items.closed.load(std::memory_order_relaxed) !=
               0;
    };
    auto found = memory_.find(look.info.name);
    // Removed and made anew under the same name: it is another one.
    if (found != memory_.end() && closed(found->second)) {
        memory_.erase(found);
        found = memory_.end();
    }
    if (found == memory_.end()) {
        auto attached = SessionAccess::of(client())->observe(look.info.name);
        if (!attached) return;
        found = memory_.emplace(look.info.name, Memory{std::move(*attached), {}, {}}).first;
    }
    Memory& memory = found->second;
    const shm::Segment& segment = *memory.attachment.segment;
    look.seen_inside = true;
    if (segment.geometry().shape.capacity <= capacity_looked_through) {
        const shm::OldestMessages oldest = shm::oldest_of(segment);
        look.oldest_waiting = age_or_nothing(oldest.waiting);
        look.oldest_unacked = age_or_nothing(oldest.leased);
    }
    const shm::HistogramCounts in_queue = shm::counts_of(segment.header().time_in_queue);
    const shm::HistogramCounts in_hand = shm::counts_of(segment.header().time_in_hand);
    look.in_queue.counts = less(in_queue, memory.in_queue);
    look.in_hand.counts = less(in_hand, memory.in_hand);
    look.in_queue_ever.counts = memory.in_queue = in_queue;
    look.in_hand_ever.counts = memory.in_hand = in_hand;
}

const QueueLook* TopModel::find(const std::string& name) const {
    const auto found = std::find_if(queues_.begin(), queues_.end(),
                                    [&](const QueueLook& each) { return each.info.name == name; });
    return found == queues_.end() ? nullptr : &*found;
}

std::vector<Member> TopModel::members(const std::string& queue) {
    return members_of(client(), queue);
}

Json to_json(const QueueLook& look) {
    Json json = Json::object();
    json.add("name", look.info.name)
        .add("ready", look.info.ready)
        .add("leased", look.info.leased)
        .add("returned", look.info.returned)
        .add("delayed", look.info.delayed)
        .add("held", look.info.held)
        .add("spilled", look.info.spilled)
        .add("producers", look.info.producers)
        .add("consumers", look.info.consumers)
        .add("sent_per_second", static_cast<std::uint64_t>(look.sent_rate))
        .add("acked_per_second", static_cast<std::uint64_t>(look.acked_rate))
        .add("bytes_per_second", static_cast<std::uint64_t>(look.bytes_rate))
        .add("redelivered_per_second", static_cast<std::uint64_t>(look.again_rate));
    const auto add_age = [&](const char* name, const auto& age) {
        age ? json.add(name, age->count()) : json.add_null(name);
    };
    add_age("oldest_ready_ns", look.oldest_waiting);
    add_age("oldest_unacked_ns", look.oldest_unacked);
    json.add("time_in_queue", latency_json(look.in_queue_ever))
        .add("time_in_hand", latency_json(look.in_hand_ever))
        .add("alarm", look.info.alarm)
        .add("quarantined", look.info.quarantined);
    return json;
}

}  // namespace shmq::cli

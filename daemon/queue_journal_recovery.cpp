// How a queue's journal begins: what its files hold is read in steps, while the daemon serves
// others; then a writer takes the log over, and the work begins.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "base/clock.hpp"
#include "daemon/journal/wall_clock.hpp"
#include "daemon/log.hpp"
#include "daemon/queue_journal.hpp"

namespace shmq::daemon {
namespace {

// Of one go, for all journals that are being recovered together.
constexpr Nanoseconds go_ns = 2 * nanoseconds_per_millisecond;
constexpr Nanoseconds go_least_ns = 50'000;
// Until what other queues' logs say is looked at again.
constexpr Nanoseconds others_poll_ns = 2 * nanoseconds_per_millisecond;
// Recovery that took longer is worth a line in the log.
constexpr Nanoseconds quick_ns = 100 * nanoseconds_per_millisecond;

std::uint64_t secret() {
    std::uint64_t value = 0;
    SHMQ_CHECK(::getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value));
    return value;
}

journal::Identity memory_of(const shm::Segment& segment) {
    journal::Identity memory{};
    for (std::size_t i = 0; i < 2; ++i) {
        const std::uint64_t word =
            segment.header().journal.memory[i].load(std::memory_order_relaxed);
        std::memcpy(memory.data() + i * sizeof word, &word, sizeof word);
    }
    return memory;
}

// A new segment counts its ingress positions anew.
void name_memory(shm::Segment& segment) {
    for (auto& word : segment.header().journal.memory) {
        if (word.load(std::memory_order_relaxed) == 0)
            word.store(secret() | 1, std::memory_order_relaxed);
    }
}

}  // namespace

std::expected<std::unique_ptr<QueueJournal>, std::string> QueueJournal::open(
    shm::Segment& segment, Settings settings, std::shared_ptr<journal::Engine> engine,
    Timers& timers, bool restored, Alarm alarm) {
    auto disk =
        journal::Directory::open(settings.path, journal::Directory::Use::write, std::move(engine));
    if (!disk) return std::unexpected(disk.error());
    auto journal = std::unique_ptr<QueueJournal>(new QueueJournal(
        segment, std::move(settings), timers, std::move(*disk), restored, std::move(alarm)));
    // Others that are coming back are there before the first of them is judged.
    if (journal->settings_.is_new) {
        journal->work();
    } else {
        timers.arm(journal->timer_, monotonic_now(), [raw = journal.get()] { raw->work(); });
    }
    return journal;
}

QueueJournal::QueueJournal(shm::Segment& segment, Settings settings, Timers& timers,
                           std::unique_ptr<journal::Directory> disk, bool restored, Alarm alarm)
    : segment_(segment),
      settings_(std::move(settings)),
      timers_(timers),
      alarm_(std::move(alarm)),
      side_(shm::QueueView(segment.ring_base(), segment.pool_base(), segment.geometry())),
      disk_(std::move(disk)),
      restored_(restored),
      began_at_(monotonic_now()) {
    name_memory(segment_);
    side_.recover();
    // Who rings now rings in vain: the end of recovery looks at everything.
    side_.listen(false);
    side_.want_room(false);
    // Not from within: it lets go of what calls it.
    recovery_ = std::make_unique<journal::Recovery>(*disk_, &settings_.identity, [this] {
        timers_.arm(timer_, monotonic_now(), [this] { work(); });
    });
    *settings_.recovering += 1;
    judged_ = !durable() || settings_.is_new;
    if (!judged_) *settings_.unjudged += 1;
}

QueueJournal::~QueueJournal() {
    working_ = true;  // what completes now starts nothing
    stop_recovering();
    reader_.reset();
    writer_.reset();  // it may be writing from what is moving
    forget_moves();
}

void QueueJournal::count_judged() {
    if (!std::exchange(judged_, true)) *settings_.unjudged -= 1;
}

void QueueJournal::stop_recovering() {
    count_judged();
    if (!recovering()) return;
    recovery_.reset();
    *settings_.recovering -= 1;
}

void QueueJournal::recover_some() {
    using Step = journal::Recovery::Step;
    if (read_) return go_on();
    const Nanoseconds share = go_ns / static_cast<Nanoseconds>(*settings_.recovering);
    const Nanoseconds until = deadline_after(monotonic_now(), std::max(share, go_least_ns));
    const Step step = recovery_->step(until);
    if (step == Step::waiting) return;
    if (step == Step::more) {
        timers_.arm(timer_, monotonic_now(), [this] { work(); });
        return;
    }
    if (step == Step::done) {
        take_recovered();
        return go_on();
    }
    side_.tell_room(false);
    segment_.header().journal.confirms_end.store(1, std::memory_order_seq_cst);
    shm::wake_all(segment_.header().journal.confirms);
    alarm_(
        fmt::format("its journal cannot be opened: {}: {}; what is in it is not delivered; mend "
                    "it and start the daemon anew",
                    settings_.path, recovery_->error().text));
    stop_recovering();
}

std::string QueueJournal::progress() const {
    if (!recovering()) return {};
    constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
    return recovery_->bytes_total() == 0 ? "its journal is being looked at"
                                         : fmt::format("its journal is being read: {} of {} MiB",
                                                       recovery_->bytes_read() / mebibyte,
                                                       recovery_->bytes_total() / mebibyte);
}

// What is here, as far as the log and the memory tell.
void QueueJournal::take_recovered() {
    recovered_ = recovery_->take();
    read_ = true;
    for (const journal::Damage& damage : recovered_.damage)
        log().error("queue {}: damaged journal: {}", settings_.name, sum_up(damage));
    // In a new segment everything is still to come; else the segment knows what came.
    unsettled_ = recovered_.live;
    if (restored_ || !durable()) return;
    // Of what was put into the front ring, whatever is not there any more is gone.
    if (side_.refilled() > 1) unsettled_.remove(1, side_.refilled() - 1);
    for (const std::uint64_t lsn : side_.in_front())
        if (recovered_.live.contains(lsn)) unsettled_.add(lsn, lsn);
}

// A message that was moved here does not count where its source still has it. What was put into the
// front ring had been let go. False: somebody's log is still being read.
bool QueueJournal::judge_moves() {
    if (judged_) return true;
    journal::RangeSet kept;
    for (const journal::MovedIn& moved : recovered_.moved_in) {
        if (!unsettled_.contains(moved.lsn) || (!restored_ && moved.lsn < side_.refilled()))
            continue;
        switch (settings_.origins->look(moved.origin)) {
            case Origins::Answer::unknown:
                return false;
            case Origins::Answer::there:
                kept.add(moved.lsn, moved.lsn);
                break;
            case Origins::Answer::gone:
                break;
        }
    }
    for (const auto& [first, last] : kept.ranges())
        unsettled_.remove(first, last);
    if (!kept.empty())
        log().info("queue {}: {} moves left half-way are undone", settings_.name, kept.count());
    void_ = std::move(kept);
    recovered_.moved_in = {};
    count_judged();
    return true;
}

void QueueJournal::go_on() {
    // Nothing of ours is delivered while others may find that it was moved to them.
    if (!judge_moves() || (restored_ && durable() && *settings_.unjudged != 0)) {
        timers_.arm(timer_, deadline_after(monotonic_now(), others_poll_ns), [this] { work(); });
        return;
    }
    stop_recovering();
    journal::RangeSet to_come = unsettled_;
    if (!durable()) to_come = recovered_.live;
    if (!restored_ && side_.refilled() > 1) to_come.remove(1, side_.refilled() - 1);
    side_.skip_to(to_come.empty() ? recovered_.next_lsn : to_come.lowest());
    spilled_ = to_come.count();
    tell_backlog();
    if (!to_come.empty()) last_message_ = to_come.highest();
    const Nanoseconds took = monotonic_now() - began_at_;
    if (restored_ || took > quick_ns) {
        log().info("queue {}: its journal is recovered, {} messages to come, in {} ms",
                   settings_.name, spilled_, took / nanoseconds_per_millisecond);
    }
    open_log();
}

void QueueJournal::open_log() {
    journal::WriterOptions options;
    options.kind = durable() ? journal::LogKind::durable : journal::LogKind::spill;
    options.synced = synced();
    options.queue = settings_.identity;
    options.memory = memory_of(segment_);
    options.name = settings_.name;
    if (settings_.spill_limit != 0) {
        options.space_max_bytes = settings_.spill_limit;
        // Space comes and goes by the file: a limit has to hold several.
        constexpr std::uint64_t page_bytes = 4096;
        options.file_bytes =
            std::clamp(settings_.spill_limit / 8 / page_bytes * page_bytes,
                       limits::journal_file_min_bytes, limits::journal_file_default_bytes);
    }
    options.random = secret;
    options.realtime_ns = [] {
        return static_cast<std::uint64_t>(monotonic_now() + journal::wall_clock_ahead());
    };
    writer_ = std::make_unique<journal::Writer>(*disk_, std::move(options), recovered_,
                                                [this] { work(); });
    reader_ =
        std::make_unique<journal::Reader>(*disk_, *writer_, side_.refilled(), [this] { work(); });
}

// The log is ours for good: what it says may be acted upon.
void QueueJournal::begin() {
    begun_ = true;
    if (recovered_.any_position && recovered_.last_memory == memory_of(segment_))
        side_.free_through(recovered_.last_position);
    journal::RangeSet gone = recovered_.live;
    for (const auto& [first, last] : unsettled_.ranges())
        gone.remove(first, last);
    if (durable()) to_settle_ = std::move(gone);
}

}  // namespace shmq::daemon

#include "schedule/coverage.hpp"

#include <cstdio>

namespace shmq::schedule {
namespace {

using shm::SlotState;
using shm::SlotWord;

constexpr auto row_count = static_cast<std::size_t>(Row::rows);
constexpr auto race_count = static_cast<std::size_t>(Race::races);

std::uint64_t row_times[row_count];
std::uint64_t race_times[race_count];

constexpr const char* row_names[] = {
    "free -> writing (claim)",
    "writing -> ready (publish)",
    "free -> ready (exclusive producer, store)",
    "writing -> free (gives up)",
    "writing -> skipped (consumer)",
    "writing -> skipped (producer)",
    "skipped -> free (own producer, sends again)",
    "writing -> free (supervisor)",
    "skipped -> free (supervisor)",
    "ready -> leased (delivery)",
    "ready -> leased (exclusive consumer marks what it read)",
    "ready -> leased (drop-oldest)",
    "leased -> leased, tag + 1 (extend)",
    "leased -> free (ack)",
    "ready -> free (exclusive consumer, store)",
    "leased -> returned (nack)",
    "leased -> leased(0) (reject)",
    "leased -> leased(0), tag + 1 (supervisor: death, expiry)",
    "ready -> leased(0) (supervisor: read by a dead exclusive consumer)",
    "leased(0) -> returned (supervisor)",
    "leased(0) -> free (supervisor)",
    "returned -> leased (redelivery)",
    "leased, lap + 1 (passed over)",
    "returned, lap + 1 (passed over)",
    "skipped, lap + 1 (passed over)",
    "free -> writing(0) (supervisor: a move to here)",
    "writing(0) -> leased(0), tag 1 (supervisor: moved, held)",
    "writing(0), skipped(0) -> free (supervisor: a move's claim)",
    "returned -> leased(0), tag + 1 (supervisor: taken by hand)",
    "ready -> leased(0) (purge)",
    "returned -> leased(0) (purge)",
    "writing(0) -> ready (supervisor: from the journal)",
};
static_assert(std::size(row_names) == row_count);

constexpr const char* race_names[] = {
    "publish fails on a skipped claim",
    "claim lost to another producer",
    "take lost to another consumer",
    "passed over while the holder ends its lease",
    "cell of a leased slot passed over",
    "stale cell cleared",
    "overtaken returner kept from its cell",
    "overtaken returner kept from the counts",
    "stale ack refused",
    "stale nack refused",
    "stale reject refused",
    "stale extend refused",
    "block freed by its producer's second look",
    "block freed before its producer handed it over",
    "sleeper struck off by a waker",
    "number given out again",
    "dead producer's claim found skipped",
    "predecessor's move finished",
    "predecessor's move undone",
    "predecessor's decision taken up",
    "ingress: writing -> ready",
    "ingress: ready -> free (supervisor)",
    "ingress: writing -> skipped",
    "ingress: free -> closed",
    "ingress: closed -> closed anew",
    "ingress: closed -> free",
    "gate: direct -> journal (producer)",
    "gate: journal -> closing",
    "gate: closing -> direct",
    "gate: closing -> journal (producer)",
    "gate: closing -> journal (supervisor)",
};
static_assert(std::size(race_names) == race_count);

bool lap_moves(SlotWord from, SlotWord to, std::int64_t by) {
    return shm::lap_difference(to.lap(), from.lap()) == by;
}
bool freed(SlotWord from, SlotWord to) {
    return to == from.freed();
}

bool next_lease(SlotWord from, SlotWord to, std::uint16_t owner) {
    return to == from.leased_to(owner);
}

std::optional<Row> by_producer(const Actor& actor, SlotWord from, SlotWord to) {
    const bool own = from.owner() == actor.number;
    switch (from.state()) {
        case SlotState::free:
            if (!actor.exclusive &&
                to == SlotWord::make(from.lap(), 0, actor.number, SlotState::writing)) {
                return Row::claim;
            }
            if (actor.exclusive && to == SlotWord::ready(from.lap())) return Row::publish_by_store;
            return {};
        case SlotState::writing:
            if (own && to == SlotWord::ready(from.lap())) return Row::publish;
            if (own && freed(from, to)) return Row::give_up;
            if (to == from.to(SlotState::skipped, from.owner())) return Row::skip_by_producer;
            return {};
        case SlotState::ready:
            if (actor.drops && next_lease(from, to, actor.number)) return Row::take_to_drop;
            return {};
        case SlotState::skipped:
            if (own && freed(from, to)) return Row::resend;
            break;
        case SlotState::leased:
            if (own && actor.drops && freed(from, to)) return Row::ack;
            break;
        default:
            break;
    }
    // Passing over changes the lap alone.
    if (!lap_moves(from, to, 1) || to != from.with_lap(to.lap())) return {};
    if (from.state() == SlotState::leased) return Row::pass_over_leased;
    if (from.state() == SlotState::returned) return Row::pass_over_returned;
    return Row::pass_over_skipped;
}

std::optional<Row> by_consumer(const Actor& actor, SlotWord from, SlotWord to) {
    switch (from.state()) {
        case SlotState::writing:
            if (to == from.to(SlotState::skipped, from.owner())) return Row::skip;
            return {};
        case SlotState::ready:
            if (next_lease(from, to, actor.number)) {
                return actor.exclusive ? Row::mark_read : Row::take;
            }
            if (actor.exclusive && freed(from, to)) return Row::ack_by_store;
            return {};
        case SlotState::returned:
            if (next_lease(from, to, actor.number)) return Row::redeliver;
            return {};
        case SlotState::leased:
            if (from.owner() != actor.number) return {};
            if (freed(from, to)) return Row::ack;
            if (to == from.to(SlotState::returned, 0)) return Row::nack;
            if (to == from.to(SlotState::leased, 0)) return Row::surrender;
            // One tag more, or two where the next one was counted last.
            if (next_lease(from, to, actor.number) ||
                next_lease(from.leased_to(actor.number), to, actor.number)) {
                return Row::extend;
            }
            return {};
        default:
            return {};
    }
}

std::optional<Row> by_supervisor(SlotWord from, SlotWord to) {
    const bool own = from.owner() == 0;
    switch (from.state()) {
        case SlotState::free:
            if (to == SlotWord::make(from.lap(), 0, 0, SlotState::writing)) {
                return Row::claim_for_move;
            }
            return {};
        case SlotState::writing:
            if (freed(from, to)) return own ? Row::undo_move : Row::undo_writing;
            if (own && next_lease(from, to, 0)) return Row::hold_moved;
            if (own && to == SlotWord::ready(from.lap())) return Row::refill;
            // Making room for its own claim, it goes past others as a producer does.
            if (to == from.to(SlotState::skipped, from.owner())) return Row::skip_by_producer;
            return {};
        case SlotState::skipped:
            if (freed(from, to)) return own ? Row::undo_move : Row::undo_skipped;
            if (lap_moves(from, to, 1) && to == from.with_lap(to.lap())) {
                return Row::pass_over_skipped;
            }
            return {};
        case SlotState::ready:
            if (next_lease(from, to, 0)) return Row::take_over_read;
            if (to == from.to(SlotState::leased, 0)) return Row::purge_ready;
            return {};
        case SlotState::returned:
            if (to == from.to(SlotState::leased, 0)) return Row::purge_returned;
            if (next_lease(from, to, 0)) return Row::take_by_hand;
            if (lap_moves(from, to, 1) && to == from.with_lap(to.lap())) {
                return Row::pass_over_returned;
            }
            return {};
        case SlotState::leased:
            if (lap_moves(from, to, 1) && to == from.with_lap(to.lap())) {
                return Row::pass_over_leased;
            }
            if (from.owner() != 0) {
                if (next_lease(from, to, 0)) return Row::take_over;
                return {};
            }
            if (to == from.to(SlotState::returned, 0)) return Row::give_to_others;
            if (freed(from, to)) return Row::free_decided;
            return {};
        default:
            return {};
    }
}

}  // namespace

const char* row_name(Row row) {
    return row_names[static_cast<std::size_t>(row)];
}
const char* race_name(Race race) {
    return race_names[static_cast<std::size_t>(race)];
}

std::optional<Row> classify(const Actor& actor, SlotWord from, SlotWord to) {
    switch (actor.part) {
        case Part::producer:
            return by_producer(actor, from, to);
        case Part::consumer:
            return by_consumer(actor, from, to);
        case Part::supervisor:
            return by_supervisor(from, to);
    }
    return {};
}

void reached(Row row) {
    ++row_times[static_cast<std::size_t>(row)];
}
void reached(Race race) {
    ++race_times[static_cast<std::size_t>(race)];
}
std::uint64_t times(Row row) {
    return row_times[static_cast<std::size_t>(row)];
}
std::uint64_t times(Race race) {
    return race_times[static_cast<std::size_t>(race)];
}

std::string coverage_table() {
    std::string text;
    char line[128];
    for (std::size_t i = 0; i < row_count; ++i) {
        std::snprintf(line, sizeof line, "%12llu  %s\n",
                      static_cast<unsigned long long>(row_times[i]), row_names[i]);
        text += line;
    }
    text += "\n";
    for (std::size_t i = 0; i < race_count; ++i) {
        std::snprintf(line, sizeof line, "%12llu  %s\n",
                      static_cast<unsigned long long>(race_times[i]), race_names[i]);
        text += line;
    }
    return text;
}

}  // namespace shmq::schedule

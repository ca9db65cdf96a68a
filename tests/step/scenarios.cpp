#include "step/scenarios.hpp"

namespace shmq::step {
namespace {

struct Sharing {
    const char* name;
    std::uint32_t flags;
};
constexpr Sharing shared{"shared", 0};
constexpr Sharing one_producer{"one_producer", shm::exclusive_producer};
constexpr Sharing one_consumer{"one_consumer", shm::exclusive_consumer};
constexpr Sharing one_each{"one_each", shm::exclusive_producer | shm::exclusive_consumer};

RingState state(const char* name) {
    RingState ring;
    ring.name = name;
    ring.advance = 10;
    return ring;
}
RingState empty() {
    return state("empty");
}
RingState middle() {
    RingState ring = state("middle");
    ring.ready = 5;
    return ring;
}
// The next message goes to the last slot before the laps' own wrap, the one after it to the first.
RingState edge() {
    RingState ring = state("edge");
    ring.first_lap = shm::lap_mask;
    ring.advance = ring_capacity - 2;
    ring.ready = 1;
    return ring;
}
RingState full() {
    RingState ring = state("full");
    ring.ready = 3;
    ring.full = true;
    return ring;
}
// Slots that are leased and returned lie in front of the next to be sent, a lap behind.
RingState occupied() {
    RingState ring = state("occupied");
    ring.held = 3;
    ring.ready = 2;
    return ring;
}
RingState returned() {
    RingState ring = state("returned");
    ring.returned = 2;
    ring.ready = 2;
    return ring;
}
// The oldest message in hand, those behind it acked: the ring is full, for want of a way past it.
RingState acked_behind() {
    RingState ring = state("acked_behind");
    ring.acked_behind = true;
    ring.sleepers = true;
    return ring;
}
RingState behind_claim() {
    RingState ring = state("behind_claim");
    ring.claim_in_front = true;
    ring.ready = 2;
    return ring;
}
RingState old_claim() {
    RingState ring = state("old_claim");
    ring.old_claim_ahead = true;
    return ring;
}
// The front ring full, more in the log and in the ingress.
RingState backlog() {
    RingState ring = state("backlog");
    ring.logged = 2;
    ring.arrived = 2;
    return ring;
}
// There is room in front again, of which the supervisor does not know yet.
RingState backlog_with_room() {
    RingState ring = backlog();
    ring.name = "backlog_with_room";
    ring.taken = 3;
    return ring;
}
RingState backlog_and_late() {
    RingState ring = backlog_with_room();
    ring.name = "backlog_and_late";
    ring.late = true;
    return ring;
}
// All of the front ring was taken, but nobody has told.
RingState backlog_behind() {
    RingState ring = backlog();
    ring.name = "backlog_behind";
    ring.taken = ring_capacity - 1;
    return ring;
}
RingState disk_full() {
    RingState ring = state("disk_full");
    ring.disk_full = true;
    return ring;
}
RingState gate_at(RingState::Gate gate, const char* name) {
    RingState ring = state(name);
    ring.gate = gate;
    return ring;
}
// Room for one before the next send finds the ring full.
RingState all_but_full() {
    RingState ring = full();
    ring.name = "all_but_full";
    ring.taken = 1;
    return ring;
}
RingState sleepers(RingState ring, const char* name) {
    ring.name = name;
    ring.sleepers = true;
    return ring;
}

// What becomes of messages that fail.
struct Failing {
    const char* name;
    Nanoseconds retry_delay = 0;
    std::uint32_t max_deliveries = 0;
    bool dead_letters = false;
};
constexpr Failing retried{"retried", nanoseconds_per_second};
constexpr Failing dropped{"dropped", 0, 1};
constexpr Failing buried{"buried", 0, 1, true};

class Table {
  public:
    // What is added from here on is added with that.
    void with(const Failing& failing) { failing_ = failing; }
    void add(const Operation& operation, const std::vector<RingState>& rings,
             const std::vector<Sharing>& sharings, bool large = false, bool changes_only = false,
             shm::Overflow overflow = shm::Overflow::block) {
        for (const RingState& ring : rings) {
            for (const Sharing& sharing : sharings) {
                Scenario scenario;
                scenario.name = std::string(operation.name) + (large ? "_large_" : "_") +
                                ring.name + "_" + sharing.name;
                if (overflow == shm::Overflow::drop_oldest) scenario.name += "_drop_oldest";
                if (failing_.name != nullptr) scenario.name += std::string("_") + failing_.name;
                scenario.operation = &operation;
                scenario.changes_only = changes_only;
                Setting& setting = scenario.setting;
                setting.flags = sharing.flags;
                setting.overflow = overflow;
                setting.ring = ring;
                setting.subject = operation.role;
                setting.subject_holds = operation.holds;
                setting.subject_returns = operation.returns;
                setting.large = large;
                setting.subject_acked_behind = operation.holds > 0 && ring.acked_behind;
                setting.purges = &operation == &purge_queue;
                setting.leases_run_out = &operation == &sweep_leases;
                setting.retry_delay = failing_.retry_delay;
                setting.max_deliveries = failing_.max_deliveries;
                setting.dead_letters = failing_.dead_letters;
                table_.push_back(scenario);
            }
        }
    }
    std::vector<Scenario> take() { return std::move(table_); }

  private:
    std::vector<Scenario> table_;
    Failing failing_{};
};

void add_sends(Table& table) {
    const std::vector<Sharing> any{shared, one_producer, one_consumer, one_each};
    const std::vector<Sharing> producers{shared, one_producer};
    const RingState asleep = sleepers(empty(), "sleepers");
    table.add(send_inline, {empty(), edge(), full(), occupied(), asleep}, any);
    table.add(send_inline, {middle(), returned()}, {shared});
    table.add(send_inline, {behind_claim(), old_claim()}, {shared, one_consumer});
    table.add(send_block, {middle(), edge(), full(), occupied(), asleep}, producers, true);
    table.add(send_loan_dropped, {middle()}, {shared}, true);
    table.add(send_batch, {edge(), occupied(), asleep}, any);
    table.add(send_inline, {full()}, producers, false, false, shm::Overflow::drop_oldest);
    table.add(send_block, {full()}, producers, true, false, shm::Overflow::drop_oldest);
    table.add(send_waiting, {full()}, {shared, one_consumer});
}

void add_receives(Table& table) {
    const std::vector<Sharing> any{shared, one_producer, one_consumer, one_each};
    const std::vector<Sharing> consumers{shared, one_consumer};
    const RingState asleep = sleepers(full(), "sleepers");
    table.add(receive_one, {empty(), edge(), full(), occupied(), returned()}, any);
    table.add(receive_one, {middle()}, {shared});
    table.add(receive_one, {behind_claim()}, consumers);
    table.add(receive_one, {middle(), returned()}, consumers, true);
    table.add(receive_batch, {edge(), returned(), asleep}, any);
    table.add(receive_waiting, {empty()}, any);
    table.add(ack_one, {middle(), edge(), occupied(), asleep}, any);
    table.add(ack_one, {middle(), asleep}, consumers, true);
    table.add(nack_one, {empty(), edge(), asleep}, any);
    table.add(nack_one, {middle()}, consumers, true);
    table.add(reject_one, {empty(), edge(), asleep}, any);
    table.add(reject_one, {middle()}, consumers, true);
    table.add(extend_one, {middle(), edge()}, consumers);
    table.add(extend_to_deadline, {middle()}, consumers);
    table.add(nack_delayed, {empty(), edge(), asleep}, consumers);
    table.add(nack_delayed, {middle()}, consumers, true);
    table.add(handle_second, {middle()}, consumers);
    table.add(nack_behind, {acked_behind()}, {one_consumer});
    table.add(reject_behind, {acked_behind()}, {one_consumer, one_each});
    table.add(ack_through, {middle(), edge(), asleep}, {one_consumer, one_each});
    table.add(ack_through, {middle()}, {one_consumer}, true);
    table.add(leave_consumer, {middle(), edge(), asleep}, {shared, one_consumer});
}

void add_attaches(Table& table) {
    table.add(attach_producer, {middle(), occupied()}, {shared, one_producer}, true, true);
    table.add(attach_consumer, {middle(), returned()}, {shared, one_consumer}, true, true);
}

// Messages in hand, one of them rejected, some returned, some ready.
RingState everything(const char* name) {
    RingState ring = state(name);
    ring.held = 2;
    ring.rejected = true;
    ring.returned = 2;
    ring.ready = 3;
    ring.leases_seen = true;
    return ring;
}

void add_supervisor(Table& table) {
    const std::vector<Sharing> any{shared, one_producer, one_consumer, one_each};
    RingState lost = everything("lost_cell");
    lost.lost_cell = true;
    RingState asleep = full();
    asleep.name = "sleepers";
    asleep.sleepers = true;
    const RingState mixed = everything("everything");
    table.add(admit_producer, {mixed}, {shared}, false, true);
    table.add(admit_consumer, {mixed}, {shared}, false, true);
    table.add(sweep_leases, {mixed, lost}, any, false, true);
    table.add(sweep_leases, {mixed}, {shared, one_consumer}, true, true);
    table.add(hang_up_holder, {mixed}, {shared, one_producer}, true, true);
    table.add(purge_queue, {mixed, asleep}, any, false, true);
    table.add(purge_queue, {mixed}, {shared, one_consumer}, true, true);
}

RingState delayed(const char* name) {
    RingState ring = state(name);
    ring.delayed = true;
    return ring;
}

// Failures of clients, where a queue has a retry delay, a limit, or dead letters.
void add_failures(Table& table) {
    const std::vector<Sharing> consumers{shared, one_consumer};
    table.with(retried);
    table.add(nack_retried, {empty(), edge()}, consumers);
    table.add(receive_one, {middle()}, consumers);
    table.with(dropped);
    table.add(receive_one, {middle()}, {shared});
    table.with(buried);
    table.add(reject_one, {middle()}, consumers);
    table.add(reject_one, {middle()}, consumers, true);
    table.add(receive_batch, {middle()}, {shared}, true);
    table.with({});
}

// The supervisor's work with messages that are delayed, dead, or taken by hand.
void add_waiting(Table& table) {
    const std::vector<Sharing> any{shared, one_producer, one_consumer, one_each};
    const std::vector<Sharing> consumers{shared, one_consumer};
    const std::vector<Sharing> producers{shared, one_producer};
    RingState asleep = delayed("delayed_sleepers");
    asleep.sleepers = true;
    RingState waiting = delayed("delayed");
    waiting.returned = 2;
    waiting.ready = 2;
    table.add(sweep_due, {waiting, asleep}, any, false, true);
    table.add(sweep_due, {waiting}, {shared}, true, true);
    table.add(purge_queue, {waiting}, {shared}, true, true);
    RingState in_hand = waiting;
    in_hand.name = "in_hand";
    in_hand.held = 2;
    in_hand.leases_seen = true;
    for (const Operation* operation : {&ack_by_hand, &nack_by_hand, &delay_by_hand,
                                       &discard_by_hand, &extend_by_hand, &release_by_hand}) {
        table.add(*operation, {in_hand}, producers, false, true);
        table.add(*operation, {in_hand}, {shared}, true, true);
    }
    table.with(retried);
    table.add(sweep_leases, {everything("everything")}, consumers, false, true);
    table.with(dropped);
    table.add(sweep_leases, {everything("everything")}, consumers, false, true);
    table.with(buried);
    RingState full_there = everything("dead_full");
    full_there.dead_full = true;
    table.add(sweep_leases, {everything("everything"), full_there}, any, false, true);
    table.add(sweep_leases, {everything("everything"), full_there}, consumers, true, true);
    RingState dead = middle();
    dead.name = "dead";
    dead.dead = true;
    RingState no_room = full();
    no_room.name = "dead_full_here";
    no_room.dead = true;
    table.add(redrive_dead, {dead, no_room}, consumers, false, true);
    table.add(redrive_dead, {dead}, consumers, true, true);
    table.with({});
}

constexpr Sharing spill{"spill", shm::journal_present};
constexpr Sharing spill_one_each{
    "spill_one_each", shm::journal_present | shm::exclusive_producer | shm::exclusive_consumer};
constexpr Sharing durable{"durable", shm::journal_present | shm::durable_log};
constexpr Sharing durable_one_consumer{
    "durable_one_consumer", shm::journal_present | shm::durable_log | shm::exclusive_consumer};

void add_sends_to_journal(Table& table) {
    const std::vector<Sharing> spills{spill, spill_one_each};
    const RingState open = gate_at(RingState::Gate::journal, "gate_journal");
    const RingState closing = gate_at(RingState::Gate::closing, "gate_closing");
    const RingState called_back = gate_at(RingState::Gate::called_back, "gate_called_back");
    RingState edge_open = edge();
    edge_open.gate = RingState::Gate::journal;
    const RingState asleep = sleepers(open, "sleepers");
    const auto spilling = shm::Overflow::spill;
    table.add(send_inline, {middle(), full()}, spills, false, false, spilling);
    table.add(send_inline, {backlog(), disk_full(), open, edge_open, closing, called_back, asleep},
              {spill}, false, false, spilling);
    table.add(send_batch, {all_but_full(), closing}, {spill}, false, false, spilling);
    table.add(send_block, {middle(), full(), backlog(), closing}, {spill}, true, false, spilling);
    table.add(send_loan_dropped, {open}, {spill}, true, false, spilling);
    table.add(send_waiting, {disk_full()}, {spill, durable}, false, false, spilling);
    table.add(send_inline, {middle(), edge(), sleepers(empty(), "sleepers")}, {durable}, false,
              false, spilling);
    table.add(send_batch, {middle()}, {durable}, false, false, spilling);
    table.add(send_block, {middle()}, {durable}, true, false, spilling);
    table.add(send_confirmed, {middle()}, {durable, durable_one_consumer}, false, false, spilling);
}

void add_journal(Table& table) {
    add_sends_to_journal(table);
    const auto spilling = shm::Overflow::spill;
    const std::vector<Sharing> durables{durable, durable_one_consumer};
    const std::vector<Sharing> both{spill, durable};
    table.add(receive_one, {backlog(), backlog_behind()}, both, false, false, spilling);
    table.add(receive_one, {backlog_behind()}, {spill_one_each}, false, false, spilling);
    table.add(receive_batch, {backlog_behind()}, {spill}, false, false, spilling);
    table.add(receive_batch, {middle()}, durables, false, false, spilling);
    table.add(receive_waiting, {empty()}, {spill, durable}, false, false, spilling);
    table.add(ack_one, {backlog(), middle(), edge()}, both, false, false, spilling);
    table.add(ack_one, {middle()}, {durable_one_consumer}, false, false, spilling);
    table.add(ack_one, {middle()}, {durable}, true, false, spilling);
    table.add(nack_one, {middle()}, both, false, false, spilling);
    table.add(reject_one, {middle()}, {durable}, false, false, spilling);
    table.add(ack_through, {middle()}, {durable_one_consumer}, false, false, spilling);
    table.add(leave_consumer, {backlog()}, both, false, false, spilling);
    table.add(journal_work, {backlog(), backlog_with_room(), disk_full()}, both, false, true,
              spilling);
    table.add(journal_work, {backlog_and_late()}, {spill, durable}, false, true, spilling);
    table.add(journal_work, {backlog_behind()}, {spill}, false, true, spilling);
    table.add(journal_work,
              {gate_at(RingState::Gate::closing, "gate_closing"),
               gate_at(RingState::Gate::called_back, "gate_called_back")},
              {spill}, false, true, spilling);
    table.add(journal_work, {backlog(), backlog_with_room()}, both, true, true, spilling);
    table.with(buried);
    table.add(reject_one, {middle()}, {durable}, false, false, spilling);
    table.with({});
}

}  // namespace

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all = [] {
        Table table;
        add_sends(table);
        add_receives(table);
        add_attaches(table);
        add_supervisor(table);
        add_failures(table);
        add_waiting(table);
        add_journal(table);
        return table.take();
    }();
    return all;
}

const Scenario* find_scenario(const std::string& name) {
    for (const Scenario& scenario : scenarios()) {
        if (scenario.name == name) return &scenario;
    }
    return nullptr;
}

}  // namespace shmq::step

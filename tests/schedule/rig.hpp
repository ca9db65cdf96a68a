// One queue with its producers, consumers and supervisor as tasks of a schedule, from a seed: makes
// the queue, brings it into an interesting state, lets the tasks race, drains what is left, and
// checks the books. A scenario says which tasks there are and what may befall them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/many_waits.hpp"
#include "client/waiting.hpp"
#include "schedule/books.hpp"
#include "schedule/coverage.hpp"
#include "schedule/scheduler.hpp"
#include "shm/journal_side.hpp"
#include "shm/queue.hpp"
#include "shm/segment.hpp"
#include "shm/supervise.hpp"

namespace shmq::schedule {

// Records of the participants' table, number 0 included.
constexpr std::uint16_t participants_most = 12;

// How consumers may end a delivery, besides by ack.
enum Verb : std::uint32_t {
    nacks = 1,
    rejects = 2,
    extends = 4,
    acks_through = 8,  // exclusive consumers
    postpones = 16,    // nack with a delay
};

struct Scenario {
    const char* name = "";
    std::uint64_t capacity = 4;
    std::uint32_t flags = 0;  // shm::QueueFlag: exclusive roles
    shm::Overflow overflow = shm::Overflow::block;
    std::uint32_t producers = 1;
    std::uint32_t consumers = 1;
    std::uint32_t sends = 3;  // by each producer
    std::uint32_t batch = 2;  // most that a consumer holds before it ends one
    std::uint32_t verbs = 0;
    bool blocks = false;      // half of the messages are large
    bool sleeps = false;      // on futexes, else tasks are idle until something changes
    bool sets = false;        // consumers sleep as a set does: they are told, and may not take
    bool interrupts = false;  // sleeping is interrupted by stop_waiting
    bool prefill = true;      // starts with messages ready, leased, returned
    bool give_ups = false;    // producers also claim and give up
    bool detaches = false;    // everybody detaches when done, and newcomers get the numbers
    bool kills_producers = false;
    bool kills_consumers = false;
    bool kills_supervisor = false;
    bool stops = false;           // producers and consumers are stopped for a while
    bool stops_strictly = false;  // one is stopped until all others have come to their ends
    std::uint32_t sweeps = 0;     // with all leases expired
    std::uint32_t purges = 0;
    std::uint32_t hang_ups = 0;
    std::uint32_t moves = 0;      // of a returned message, to another slot of the same queue
    std::uint32_t newcomers = 0;  // who take the place of the dead and the detached

    bool exclusive_producers() const { return (flags & shm::exclusive_producer) != 0; }
    bool exclusive_consumers() const { return (flags & shm::exclusive_consumer) != 0; }
    bool journal() const { return (flags & shm::journal_present) != 0; }
    bool durable() const { return (flags & shm::durable_log) != 0; }
    // Whether a verb may come too late although its holder lives.
    bool leases_end() const { return sweeps != 0 || hang_ups != 0; }
};

class Rig final : public Observer {
  public:
    Rig(const Scenario& scenario, std::uint64_t seed);
    ~Rig() override;

    // Empty: all promises were kept.
    std::string run();
    // The last steps, as text.
    std::string trace(std::size_t most) const { return tail(most); }
    std::uint64_t steps() const { return steps_; }

    bool matters(const void* address) const override;
    void after_step(const Task& task, const Step& step) override;
    void on_death(Task& task) override;
    std::string describe(const Step& step) const override;

  private:
    // A participant, over its whole life.
    struct Party {
        Actor actor;
        Task* task = nullptr;
        Random random{0};
        std::unique_ptr<shm::SendSide> sender;
        std::unique_ptr<shm::ReceiveSide> receiver;
        std::vector<shm::Delivery> held;
        std::vector<MessageId> held_ids;
        bool stays = false;  // never detaches
        bool done = false;   // its task has ended, it holds nothing and touches nothing
        bool dead = false;
        bool hung_up = false;
        bool vacated = false;  // its number was taken back
        bool replaced = false;
        bool registered = false;
        std::uint64_t looked_at_cell = 0;  // {index, cell} of its last look, for races
        std::uint64_t looked_at_index = 0;
    };

    // ---- rig.cpp: one run ----
    void restore_segment();
    void start_laps(std::uint64_t lap);
    void prefill(Party& sender, Party* holder);
    void spawn_parties();
    void spawn(Party& party);
    void spawn_supervisor(const std::string& name, bool successor);
    void plan_misfortune();
    std::string phase(Random& random, const char* name, const std::function<void()>& body);
    void finish();
    std::string check_ends();
    Party& admit(Part part);
    void equip(Party& party);
    std::string tail(std::size_t most) const;

    // ---- rig_tasks.cpp: what the tasks do ----
    void produce(Party& party);
    void send_one(Party& party);
    shm::SendStatus attempt(Party& party, MessageId id, shm::BlockHandle& block, bool large);
    void claim_and_give_up(Party& party);
    void consume(Party& party);
    bool receive(Party& party, bool wait);
    shm::ReceiveStatus receive_by_set(Party& party, shm::Delivery& delivery);
    void take_in(Party& party, const shm::Delivery& delivery);
    std::optional<MessageId> read_id(const shm::Delivery& delivery) const;
    void end_one(Party& party);
    void end_by_ack(Party& party, std::size_t which);
    bool end_otherwise(Party& party, std::size_t which);
    void ack_through(Party& party);
    void forget(Party& party, std::size_t which);
    void check_stale(const Party& party, Race race);
    void leave(Party& party);
    void supervise(bool successor);
    void take_back_the_dead();
    void take_back_strangers();
    void replace(const Party& old);
    void disturb_once();
    void move_one();
    void settle_moves();
    bool delayed_wait() const;
    void drain();

    // ---- rig_journal.cpp: the supervisor's side of a journal ----
    void begin_journal();
    bool work_on_journal();
    bool journal_step();
    void place_arrival(const shm::Arrival& arrival);
    void tell_gone(std::uint64_t lsn);
    void check_log();
    void watch_gate(const Party& party, const Step& step);
    void watch_ingress(const Party& party, const Step& step);

    // ---- rig_watch.cpp: what is seen at each step ----
    void watch_word(Party& party, const Step& step, std::uint64_t index);
    void watch_change(Party& party, std::uint64_t index, shm::SlotWord from, shm::SlotWord to,
                      Row row);
    void watch_refusal(Party& party, std::uint64_t index, shm::SlotWord wanted,
                       shm::SlotWord present);
    void watch_cell(Party& party, const Step& step, std::uint64_t index);
    void check_oldest(std::uint64_t index);
    void check_audit(bool quiescent);
    std::optional<MessageId> id_in_slot(std::uint64_t index) const;
    void require(const std::string& breach);

    const Scenario scenario_;
    Random random_;
    shm::Segment* segment_ = nullptr;
    shm::QueueView view_;
    std::vector<std::unique_ptr<Party>> parties_;
    std::vector<Party*> party_of_task_;
    Party supervisor_;
    std::unique_ptr<shm::Supervise> supervise_;
    std::unique_ptr<Scheduler> scheduler_;
    Books books_;
    std::vector<std::optional<MessageId>> in_slot_;  // message by slot
    std::vector<bool> decided_by_dead_;              // slot left leased(0) by a dead supervisor
    Nanoseconds now_ = 1;
    std::uint32_t audit_every_ = 1;
    std::uint64_t steps_ = 0;
    bool work_ = false;  // for the supervisor
    bool supervisor_died_ = false;
    bool last_phase_ = false;
    std::uint32_t sweeps_left_ = 0, purges_left_ = 0, hang_ups_left_ = 0;
    std::uint32_t moves_left_ = 0;
    std::uint32_t newcomers_left_ = 0;
    // A message on its way through the log; its LSN is its index + 1.
    struct Logged {
        std::vector<std::byte> payload;
        std::uint64_t position = 0;  // that it had in the ingress
        bool told = false;           // as gone
        bool by_successor = false;
    };
    std::unique_ptr<shm::JournalSide> side_;
    std::vector<Logged> log_;
    std::size_t logged_ = 0;         // so many are in the log; the rest is being written
    std::uint32_t closes_left_ = 6;  // a supervisor and a producer could go on for ever
    bool wants_room_ = false;
    std::string trace_;
};

}  // namespace shmq::schedule

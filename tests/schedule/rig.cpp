#include "schedule/rig.hpp"

#include <cstring>
#include <map>

#include "shm/audit.hpp"

namespace shmq::schedule {
namespace {

constexpr std::size_t trace_most = 400;

// Segments are made once a shape and brought back to their first bytes for each run.
struct Made {
    std::unique_ptr<shm::Segment> segment;
    std::vector<std::byte> image;
};

Made& segment_for(const Scenario& scenario) {
    static std::map<std::string, Made> made;
    Made& entry = made[scenario.name];
    if (entry.segment != nullptr) return entry;
    shm::Shape shape{};
    shape.capacity = scenario.capacity;
    shape.max_message = scenario.blocks ? 1024 : 32;
    shape.pool_bytes = scenario.blocks ? 4096 : 0;
    shape.slot_size = 64;
    shape.participants = participants_most;
    shape.overflow = static_cast<std::uint32_t>(scenario.overflow);
    shape.flags = scenario.flags;
    shape = shm::with_defaults(shape);
    shm::AttachFailure failure;
    entry.segment = shm::Segment::create(shape, {1, 2, 3}, failure);
    if (entry.segment == nullptr || !entry.segment->create_pool(failure)) {
        throw std::runtime_error("no segment: " + failure.detail);
    }
    const auto* base = entry.segment->ring_base();
    entry.image.assign(base, base + entry.segment->geometry().segment_bytes);
    return entry;
}

}  // namespace

Rig::Rig(const Scenario& scenario, std::uint64_t seed) : scenario_(scenario), random_(seed) {
    supervisor_.actor.part = Part::supervisor;
}
Rig::~Rig() = default;

// ---- One run -----------------------------------------------------------------------------------

std::string Rig::run() {
    Made& made = segment_for(scenario_);
    segment_ = made.segment.get();
    std::memcpy(segment_->ring_base(), made.image.data(), made.image.size());
    restore_segment();
    audit_every_ = random_.one_in(8) ? 1 : 8 + random_.below(56);
    sweeps_left_ = scenario_.sweeps;
    purges_left_ = scenario_.purges;
    hang_ups_left_ = scenario_.hang_ups;
    moves_left_ = scenario_.moves;
    newcomers_left_ = scenario_.newcomers;

    supervise_ = std::make_unique<shm::Supervise>(*segment_);
    for (std::uint32_t i = 0; i < scenario_.producers; ++i)
        admit(Part::producer);
    for (std::uint32_t i = 0; i < scenario_.consumers; ++i)
        admit(Part::consumer);
    supervise_->share_in_flight(UINT32_MAX);
    if (random_.one_in(2)) {
        segment_->header().in_flight_cap.store(64);
    }
    for (auto& party : parties_)
        equip(*party);
    std::string failure = phase(random_, "setup", [this] {
        if (!scenario_.prefill) return;
        Party& sender = *parties_.front();
        Party& holder = *parties_[scenario_.producers];
        prefill(sender, &holder);
    });
    if (!failure.empty()) return failure;

    scheduler_ = std::make_unique<Scheduler>(random_.next(), *this);
    party_of_task_.clear();
    spawn_parties();
    plan_misfortune();
    if (!scheduler_->run()) failure = scheduler_->failure();
    if (failure.empty()) failure = check_ends();
    trace_ = scheduler_->trace(trace_most);
    steps_ += scheduler_->steps();
    scheduler_.reset();
    if (!failure.empty()) return failure;

    last_phase_ = true;
    return phase(random_, "drain", [this] { drain(); });
}

// A stretch with one task, who is in turn whoever acts.
std::string Rig::phase(Random& random, const char* name, const std::function<void()>& body) {
    scheduler_ = std::make_unique<Scheduler>(random.next(), *this);
    party_of_task_.assign(1, &supervisor_);
    scheduler_->spawn(name, body);
    const std::string failure = scheduler_->run() ? "" : scheduler_->failure();
    trace_ += "-- " + std::string(name) + "\n" + scheduler_->trace(trace_most);
    steps_ += scheduler_->steps();
    scheduler_.reset();
    return failure;
}

// Laps start at nought, or so that their 36 bits wrap during the run.
void Rig::restore_segment() {
    view_ = shm::QueueView(segment_->ring_base(), segment_->pool_base(), segment_->geometry());
    start_laps(random_.one_in(4) ? 0 : shm::lap_mask - 2);
    in_slot_.assign(scenario_.capacity, std::nullopt);
    decided_by_dead_.assign(scenario_.capacity, false);
}

void Rig::start_laps(std::uint64_t lap) {
    for (std::uint64_t index = 0; index < scenario_.capacity; ++index) {
        view_.ring.slot(index).word.store(shm::SlotWord::free(lap).raw);
    }
    view_.header->head.store(lap * scenario_.capacity);
    view_.header->tail.store(lap * scenario_.capacity);
    if (!scenario_.journal()) return;
    const std::uint64_t slots = view_.ingress.capacity();
    for (std::uint64_t index = 0; index < slots; ++index)
        view_.ingress.slot(index).word.store(shm::SlotWord::free(lap).raw);
    view_.header->journal.ingress_head.store(lap * slots);
    view_.header->journal.ingress_tail.store(lap * slots);
    // The mark that a closed slot carries wraps, too.
    if (random_.one_in(2)) return;
    const auto state = scenario_.durable() ? shm::GateState::journal : shm::GateState::direct;
    view_.header->gate.store(shm::GateWord::make(shm::GateWord::mark_mask - 3, state).raw);
}

Rig::Party& Rig::admit(Part part) {
    auto made = std::make_unique<Party>();
    Party& party = *made;
    const bool producer = part == Part::producer;
    party.random = Random(random_.next());
    party.actor.part = part;
    party.actor.exclusive =
        producer ? scenario_.exclusive_producers() : scenario_.exclusive_consumers();
    party.actor.drops = scenario_.overflow == shm::Overflow::drop_oldest;
    party.actor.number = supervise_->admit(producer ? shm::Role::producer : shm::Role::consumer,
                                           party.actor.exclusive, {1, 1}, now_);
    for (const auto& other : parties_) {
        if (other->actor.number == party.actor.number) reached(Race::number_used_again);
    }
    parties_.push_back(std::move(made));
    return party;
}

void Rig::equip(Party& party) {
    const Quiet quiet;
    if (party.actor.part == Part::producer) {
        party.sender = std::make_unique<shm::SendSide>(view_, party.actor.number, false);
    } else {
        party.receiver = std::make_unique<shm::ReceiveSide>(view_, party.actor.number, 1024, false);
    }
}

// Some messages gone, some in a consumer's hands, some returned, some ready.
void Rig::prefill(Party& sender, Party* holder) {
    const auto capacity = static_cast<std::uint32_t>(scenario_.capacity);
    const std::uint32_t rounds = random_.below(capacity + 1);
    for (std::uint32_t round = 0; round < rounds; ++round) {
        const std::uint32_t most = capacity - static_cast<std::uint32_t>(holder->held.size());
        const std::uint32_t count = random_.below(most + 1);
        party_of_task_[0] = &sender;
        for (std::uint32_t i = 0; i < count; ++i) {
            shm::BlockHandle block;
            const bool large = scenario_.blocks && random_.one_in(2);
            const MessageId id = books_.send_begins(sender.actor.number, 0);
            // A full ring, or no block: the message is never sent.
            if (attempt(sender, id, block, large) != shm::SendStatus::sent) {
                if (block.valid()) sender.sender->release(block);
                break;
            }
            books_.send_returns(id, 1);
        }
        party_of_task_[0] = holder;
        // Two slots at least stay usable.
        const std::uint32_t taken = random_.below(capacity);
        for (std::uint32_t i = 0;
             i < taken && holder->held.size() + 2 < capacity && receive(*holder, false); ++i) {
            if (random_.one_in(3)) end_one(*holder);
        }
        if (random_.one_in(2) && !holder->held.empty()) end_one(*holder);
    }
}

// ---- Tasks -------------------------------------------------------------------------------------

void Rig::spawn_parties() {
    for (auto& party : parties_)
        spawn(*party);
    spawn_supervisor("supervisor", false);
    if (!scenario_.kills_supervisor) return;
    spawn_supervisor("successor", true);
}

void Rig::spawn(Party& party) {
    const bool producer = party.actor.part == Part::producer;
    const std::string name =
        (producer ? "producer " : "consumer ") + std::to_string(party.actor.number);
    party.task = &scheduler_->spawn(name, [this, &party, producer] {
        if (producer) produce(party);
        if (!producer) consume(party);
    });
    party_of_task_.push_back(&party);
    if (!producer) party.task->background();
}

void Rig::spawn_supervisor(const std::string& name, bool successor) {
    Task& task = scheduler_->spawn(name, [this, successor] { supervise(successor); });
    task.background();
    party_of_task_.push_back(&supervisor_);
    if (!successor) supervisor_.task = &task;
}

void Rig::plan_misfortune() {
    const std::uint32_t soon = 16u << random_.below(5);
    for (auto& party : parties_) {
        const bool producer = party->actor.part == Part::producer;
        const bool mortal = producer ? scenario_.kills_producers : scenario_.kills_consumers;
        // Somebody has to stay who takes what producers wait to have taken.
        const bool needed = party == parties_.back() && !party->actor.exclusive;
        if (mortal && !needed && random_.one_in(2)) party->task->kill_within(soon, random_);
    }
    if (scenario_.kills_supervisor) supervisor_.task->kill_within(soon, random_);
    if (scenario_.stops) {
        for (auto& party : parties_) {
            if (random_.one_in(2)) party->task->stop_within(soon, 400, random_);
        }
    }
    if (scenario_.stops_strictly) {
        // Not the only consumer: producers do wait for room.
        const std::uint32_t choice = scenario_.consumers > 1
                                         ? scenario_.producers + scenario_.consumers
                                         : scenario_.producers;
        parties_[random_.below(choice)]->task->stop_within(soon, 0, random_);
    }
}

// ---- Ends --------------------------------------------------------------------------------------

// Nobody had anything left to do: then nothing may be left undone.
std::string Rig::check_ends() {
    const shm::StateCounts counts = shm::count_states(*segment_);
    bool receiving = false;
    for (const auto& party : parties_) {
        if (party->dead || party->actor.part != Part::consumer || party->done) continue;
        receiving = true;
        if (party->receiver->in_flight() != 0) {
            return "consumer " + std::to_string(party->actor.number) + " counts " +
                   std::to_string(party->receiver->in_flight()) + " in flight and holds nothing";
        }
    }
    const bool in_log = side_ != nullptr && side_->refilled() <= log_.size();
    if (receiving && (counts.arrived != 0 || in_log)) {
        return "stranded: " + std::to_string(counts.arrived) + " in the ingress, " +
               (in_log ? "more" : "none") + " in the log, while consumers wait";
    }
    if (receiving && counts.ready + counts.returned != 0) {
        return "stranded: " + std::to_string(counts.ready) + " ready and " +
               std::to_string(counts.returned) + " returned, while consumers wait";
    }
    const bool empty =
        counts.ready + counts.returned + counts.leased + counts.deciding + counts.delayed == 0;
    if (receiving && empty && counts.blocks_used != 0) {
        return "left behind: " + std::to_string(counts.blocks_used) + " blocks of no message";
    }
    if (!scenario_.leases_end() && counts.leased + counts.deciding + counts.writing != 0) {
        return "left behind: " + std::to_string(counts.leased) + " leased, " +
               std::to_string(counts.deciding) + " undecided, " + std::to_string(counts.writing) +
               " unfinished";
    }
    return {};
}

// Takes everybody's number back, hands what is left to a last consumer, and closes the books.
void Rig::drain() {
    party_of_task_[0] = &supervisor_;
    supervise_ = std::make_unique<shm::Supervise>(*segment_);
    if (scenario_.journal()) begin_journal();
    settle_moves();
    for (auto& party : parties_) {
        if (party->vacated) continue;
        supervise_->reclaim(party->actor.number,
                            party->dead ? shm::Ending::died : shm::Ending::detached);
        party->vacated = true;
    }
    supervise_->sweep(now_);
    now_ += 100 * static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns);
    supervise_->sweep(now_);  // what is delayed is due now
    Party& last = admit(Part::consumer);
    segment_->header().in_flight_cap.store(1);
    equip(last);
    bool more = true;
    while (more) {
        party_of_task_[0] = &last;
        while (receive(last, false))
            end_by_ack(last, 0);
        party_of_task_[0] = &supervisor_;
        more = scenario_.journal() && work_on_journal();
    }
    if (scenario_.journal()) check_log();
    supervise_->reclaim(last.actor.number, shm::Ending::detached);
    if (supervise_->damaged()) require("the supervisor holds the queue for damaged");
    const bool drops = scenario_.overflow == shm::Overflow::drop_oldest;
    require(books_.close(scenario_.purges != 0 || drops,
                         scenario_.kills_consumers || scenario_.purges != 0));
    finish();
}

void Rig::finish() {
    const Quiet quiet;
    check_audit(true);
    const shm::StateCounts counts = shm::count_states(*segment_);
    if (counts.ready + counts.leased + counts.deciding + counts.delayed + counts.returned +
            counts.arrived + counts.writing + counts.blocks_used !=
        0) {
        require("something is left in a queue that was drained: " +
                std::to_string(counts.blocks_used) + " blocks");
    }
    for (std::uint32_t number = 1; number < participants_most; ++number) {
        if (view_.participants[number].state.load() != 0) {
            require("number " + std::to_string(number) + " was not given back");
        }
    }
    const bool nobody_died =
        !scenario_.kills_producers && !scenario_.kills_consumers && !scenario_.kills_supervisor;
    const shm::TotalCounts totals = shm::count_totals(*segment_);
    if (!scenario_.kills_supervisor && totals.dropped_oldest != books_.dropped()) {
        require("counted " + std::to_string(totals.dropped_oldest) + " dropped; were " +
                std::to_string(books_.dropped()));
    }
    if (nobody_died && (totals.sent != books_.sent() || totals.acked != books_.acked())) {
        require("counted " + std::to_string(totals.sent) + " sent and " +
                std::to_string(totals.acked) + " acked; were " + std::to_string(books_.sent()) +
                " and " + std::to_string(books_.acked()));
    }
}

std::string Rig::tail(std::size_t most) const {
    std::size_t from = trace_.size();
    while (from > 0 && most > 0) {
        from = trace_.rfind('\n', from - 1);
        if (from == std::string::npos) return trace_;
        --most;
    }
    return trace_.substr(from);
}

}  // namespace shmq::schedule

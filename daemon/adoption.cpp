#include "daemon/adoption.hpp"

#include <map>
#include <utility>
#include <vector>

#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

struct Found {
    std::uint64_t kept_id = 0;
    Definition definition;
    Registry::Memory memory;
};

class Adopting {
  public:
    Adopting(Inherited& inherited, Store& store, Roster& roster, Registry& registry,
             Supervisor& supervisor)
        : inherited_(inherited),
          store_(store),
          roster_(roster),
          registry_(registry),
          supervisor_(supervisor) {}

    Adoption run();

  private:
    // Empty: all definitions can be understood.
    std::string read_definitions();
    void forget_superseded();
    void take_queues();
    void read_roster();
    void take_participants();
    void report(const std::shared_ptr<Queue>& queue, const Supervisor::Census& census);
    void let_go_of_the_rest();

    Inherited& inherited_;
    Store& store_;
    Roster& roster_;
    Registry& registry_;
    Supervisor& supervisor_;
    std::vector<Found> found_;
    std::map<std::string, std::shared_ptr<Queue>> queues_;  // by identity
    std::vector<RosterEntry> entries_;
    std::vector<std::uint32_t> places_;
    Adoption result_;
};

Adoption Adopting::run() {
    result_.refusal = read_definitions();
    if (!result_.refusal.empty()) return result_;
    take_queues();
    read_roster();
    take_participants();
    for (const auto& [identity, queue] : queues_) {
        if (!result_.roster) supervisor_.adopt_strays(queue);
        report(queue, supervisor_.settle(queue));
    }
    let_go_of_the_rest();
    result_.queues = queues_.size();
    return result_;
}

std::string Adopting::read_definitions() {
    for (auto& [name, fd] : inherited_) {
        const std::uint64_t id = kept_id(name, kept::definition);
        if (id == 0) continue;
        auto definition = read_definition(fd.get());
        if (definition) {
            found_.push_back({id, std::move(*definition), {}});
        } else if (definition.error().incompatible) {
            return "a queue cannot be taken over: " + definition.error().reason +
                   "; start that version again, or remove its queues with it before an upgrade";
        } else {
            log().error("a definition that was kept is damaged: {}", definition.error().reason);
        }
    }
    forget_superseded();
    return {};
}

// A predecessor that died while it changed a queue has left two: the later one holds.
void Adopting::forget_superseded() {
    std::map<std::string, std::uint64_t> latest;
    for (const Found& found : found_) {
        std::uint64_t& id = latest[found.definition.identity];
        id = std::max(id, found.kept_id);
    }
    std::erase_if(found_, [&](const Found& found) {
        return found.kept_id < latest[found.definition.identity];
    });
}

void Adopting::take_queues() {
    for (Found& found : found_) {
        found.memory.definition = take(inherited_, kept_name(kept::definition, found.kept_id));
        const std::uint64_t memory_id =
            found.definition.memory_id != 0 ? found.definition.memory_id : found.kept_id;
        found.memory.ring = take(inherited_, kept_name(kept::ring, memory_id));
        found.memory.pool = take(inherited_, kept_name(kept::pool, memory_id));
        auto queue = registry_.adopt(found.definition, std::move(found.memory), found.kept_id);
        if (queue) {
            queues_.emplace(found.definition.identity, std::move(*queue));
            continue;
        }
        log().error("queue {} cannot be taken over: {}; its users go on with one another",
                    found.definition.name, queue.error());
        store_.drop(kept_name(kept::definition, found.kept_id));
        for (const char kind : {kept::ring, kept::pool})
            store_.drop(kept_name(kind, memory_id));
    }
}

void Adopting::read_roster() {
    Fd file = take(inherited_, std::string(kept::roster));
    result_.roster = file && roster_.adopt(std::move(file), entries_, places_);
    if (result_.roster) {
        store_.kept(std::string(kept::roster), roster_.fd());
        return;
    }
    if (!roster_.create()) log().error("no memory for the roster of participants");
    store_.keep(std::string(kept::roster), roster_.fd());
}

void Adopting::take_participants() {
    std::map<std::uint64_t, Holder*> holders;
    for (std::size_t index = 0; index < entries_.size(); ++index) {
        const RosterEntry& entry = entries_[index];
        const auto queue = queues_.find(entry.identity);
        const bool there =
            queue != queues_.end() && entry.number <= UINT16_MAX &&
            queue->second->supervise().taken(static_cast<std::uint16_t>(entry.number));
        if (!there) {
            roster_.erase(places_[index]);
            continue;
        }
        Holder* holder = nullptr;
        if (const auto known = holders.find(entry.holder); known != holders.end()) {
            holder = known->second;
        } else {
            Fd pidfd =
                entry.holder == 0 ? Fd() : take(inherited_, kept_name(kept::process, entry.holder));
            const bool kept = pidfd.valid();
            holder = &supervisor_.adopt_holder(entry, std::move(pidfd));
            if (kept) holders.emplace(entry.holder, holder);
        }
        supervisor_.adopt_participant(*holder, queue->second, entry, places_[index]);
    }
}

void Adopting::report(const std::shared_ptr<Queue>& queue, const Supervisor::Census& census) {
    log().info(
        "queue {} taken over: {} messages; participants: {} kept, {} dead; given back {} messages, "
        "{} claims, {} blocks",
        queue->name(), queue->message_count(), census.kept, census.dead, census.reclaimed.leases,
        census.reclaimed.claims, census.reclaimed.blocks);
}

// Sets that are not whole, processes without participants.
void Adopting::let_go_of_the_rest() {
    for (auto place = inherited_.begin(); place != inherited_.end();) {
        const std::string& name = place->first;
        const bool ours = kept_id(name, kept::definition) != 0 || kept_id(name, kept::ring) != 0 ||
                          kept_id(name, kept::pool) != 0 || kept_id(name, kept::process) != 0;
        if (ours) store_.drop(name);
        place = ours ? inherited_.erase(place) : std::next(place);
    }
}

}  // namespace

Adoption adopt(Inherited& inherited, Store& store, Roster& roster, Registry& registry,
               Supervisor& supervisor) {
    return Adopting(inherited, store, roster, registry, supervisor).run();
}

}  // namespace shmq::daemon

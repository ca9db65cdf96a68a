#include "daemon/adoption.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/version.hpp"
#include "daemon/log.hpp"

namespace shmq::daemon {
namespace {

struct Found {
    CatalogueEntry entry;
    Definition definition;
};

class Adopting {
  public:
    Adopting(Inherited& inherited, Store& store, const Heirs& heirs)
        : inherited_(inherited),
          store_(store),
          catalogue_(heirs.catalogue),
          roster_(heirs.roster),
          registry_(heirs.registry),
          supervisor_(heirs.supervisor) {}

    Adoption run();

  private:
    // Empty: all definitions can be understood. Changes nothing of what was left.
    std::string read_catalogue();
    void forget_superseded();
    void take_queues();
    void take_queue(const Found& found);
    void read_roster();
    void take_participants();
    void report(const std::shared_ptr<Queue>& queue, const Supervisor::Census& census);
    void let_go_of_the_rest();

    Inherited& inherited_;
    Store& store_;
    Catalogue& catalogue_;
    Roster& roster_;
    Registry& registry_;
    Supervisor& supervisor_;
    std::vector<Found> found_;
    std::vector<std::uint32_t> useless_;                    // places in the catalogue
    std::map<std::string, std::shared_ptr<Queue>> queues_;  // by identity
    std::vector<RosterEntry> entries_;
    std::vector<std::uint32_t> places_;
    Adoption result_;
};

Adoption Adopting::run() {
    result_.refusal = read_catalogue();
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

std::string Adopting::read_catalogue() {
    const std::string again =
        "; start that version again, or remove its queues with it before an upgrade";
    const bool any = std::any_of(inherited_.begin(), inherited_.end(), [](const auto& kept) {
        return kept_id(kept.first, kept::ring) != 0;
    });
    Fd file = take(inherited_, std::string(kept::catalogue));
    const bool was_there = file.valid();
    std::vector<CatalogueEntry> entries;
    if (!catalogue_.adopt(std::move(file), entries)) {
        if (any || was_there) {
            return "the queues that were left cannot be taken over: another version made them, "
                   "whose catalogue is not that of shmqd " +
                   std::string(version_text()) + again;
        }
        if (!catalogue_.create()) return "no memory for the catalogue of queues";
        store_.keep(std::string(kept::catalogue), catalogue_.fd());
        return {};
    }
    for (CatalogueEntry& entry : entries) {
        auto definition = parse_kept_definition(entry.text);
        if (definition) {
            found_.push_back({std::move(entry), std::move(*definition)});
        } else if (definition.error().incompatible) {
            return "a queue cannot be taken over: " + definition.error().reason + again;
        } else {
            log().error("a definition that was kept is damaged: {}", definition.error().reason);
            useless_.push_back(entry.place);
        }
    }
    store_.kept(std::string(kept::catalogue), catalogue_.fd());
    return {};
}

// A predecessor that died while it changed a queue has left two: the later one holds.
void Adopting::forget_superseded() {
    std::map<std::string, std::uint64_t> latest;
    for (const Found& found : found_) {
        std::uint64_t& serial = latest[found.definition.identity];
        serial = std::max(serial, found.entry.serial);
    }
    std::erase_if(found_, [&](const Found& found) {
        const bool superseded = found.entry.serial < latest[found.definition.identity];
        if (superseded) useless_.push_back(found.entry.place);
        return superseded;
    });
}

void Adopting::take_queues() {
    forget_superseded();
    for (const Found& found : found_)
        take_queue(found);
    for (const std::uint32_t place : useless_)
        catalogue_.erase(place);
}

void Adopting::take_queue(const Found& found) {
    const std::string ring = kept_name(kept::ring, found.entry.memory);
    const std::string pool = kept_name(kept::pool, found.entry.memory);
    Registry::Memory memory;
    memory.ring = take(inherited_, ring);
    const bool has_pool = found.definition.pool_inode != 0;
    if (has_pool) memory.pool = take(inherited_, pool);
    const bool whole = memory.ring && (memory.pool || !has_pool);
    if (whole) {
        auto queue = registry_.adopt(found.definition, std::move(memory),
                                     Registry::Kept{found.entry.memory, found.entry.place});
        if (queue) {
            queues_.emplace(found.definition.identity, std::move(*queue));
            return;
        }
        log().error("queue {} cannot be taken over: {}; its users go on with one another",
                    found.definition.name, queue.error());
    } else {
        result_.incomplete += 1;
        log().warn("queue {}: its memory was not kept; it comes back if its users bring it",
                   found.definition.name);
    }
    useless_.push_back(found.entry.place);
    store_.drop(ring);
    store_.drop(pool);
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
        const bool ours = kept_id(name, kept::ring) != 0 || kept_id(name, kept::pool) != 0 ||
                          kept_id(name, kept::process) != 0;
        if (ours) store_.drop(name);
        place = ours ? inherited_.erase(place) : std::next(place);
    }
}

}  // namespace

Adoption adopt(Inherited& inherited, Store& store, const Heirs& heirs) {
    return Adopting(inherited, store, heirs).run();
}

}  // namespace shmq::daemon

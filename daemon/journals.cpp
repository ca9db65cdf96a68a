#include "daemon/journals.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "daemon/log.hpp"
#include "daemon/queue_journal.hpp"

namespace shmq::daemon {
namespace {

// Tells a start of the machine from every other.
std::string this_boot() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string text;
    std::getline(file, text);
    return text;
}

}  // namespace

std::expected<std::string, std::string> Journals::start(journal::EngineChoice choice) {
    std::string refusal;
    engine_ = journal::Engine::create(choice, refusal);
    if (engine_ == nullptr) return std::unexpected(refusal);
    io_.watch(completions_, engine_->descriptor(), POLLIN, Priority::request, [this](unsigned) {
        engine_->run(false);
        return Progress::drained;
    });
    return refusal.empty() ? engine_->name()
                           : fmt::format("{} because {}", engine_->name(), refusal);
}

void Journals::stop() {
    io_.forget(completions_);
    engine_.reset();
}

std::expected<void, std::string> Journals::open(Queue& queue, bool restored) {
    if (!queue.segment().geometry().has(shm::journal_present)) return {};
    if (!state_) return std::unexpected(state_.error());
    if (engine_ == nullptr) return std::unexpected("nothing moves its bytes");
    auto path = (*state_)->queue_path(queue.identity());
    if (!path) return std::unexpected(path.error());
    QueueJournal::Settings settings;
    settings.is_new = !(*state_)->read_definition(queue.identity()).has_value();
    if (auto written = write_definition(queue); !written) return written;
    settings.name = queue.name();
    std::copy_n(queue.segment().identity(), settings.identity.size(), settings.identity.begin());
    settings.path = *path;
    settings.spill_limit = queue.spill_limit();
    settings.recovering = &recovering_;
    settings.unjudged = &unjudged_;
    settings.origins = origins_;
    auto journal = QueueJournal::open(
        queue.segment(), std::move(settings), engine_, timers_, restored,
        [&queue](const std::string& text) { queue.raise_alarm(Queue::Alarm::journal, text); });
    if (!journal) return std::unexpected(journal.error());
    queue.journal = std::move(*journal);
    return {};
}

std::expected<void, std::string> Journals::write_definition(const Queue& queue) {
    const std::string text = definition_text({.name = queue.name(),
                                              .identity = queue.identity(),
                                              .ownership = queue.ownership(),
                                              .options = queue.options(),
                                              .paused = queue.paused()});
    wire::Json json = wire::Json::parse(text);
    json["boot"] = this_boot();
    const auto present = (*state_)->read_definition(queue.identity());
    if (present && *present == json.dump()) return {};
    auto written = (*state_)->write_definition(queue.identity(), json.dump());
    if (written || !present) return written;
    // On a disk that is full an old one will do, if it says the same: who cannot have his queue
    // back cannot empty it.
    wire::Json old = wire::Json::parse(*present, nullptr, false);
    if (!old.is_object()) return written;
    old["boot"] = json["boot"];
    if (old != json) return written;
    log().warn("queue {}: its definition on disk stays as it was: {}", queue.name(),
               written.error());
    return {};
}

void Journals::remove(Queue& queue) {
    if (!queue.segment().geometry().has(shm::journal_present) || !state_) return;
    queue.journal.reset();
    if (auto removed = (*state_)->remove_queue(queue.identity()); !removed) {
        log().error("queue {}: its journal's files stay: {}", queue.name(), removed.error());
    }
}

std::vector<Journals::LeftBehind> Journals::left_behind() {
    std::vector<LeftBehind> durable;
    if (!state_) return durable;
    StateDirectory& directory = **state_;
    const auto identities = directory.queues();
    if (!identities) {
        log().error("{}", identities.error());
        return durable;
    }
    for (const std::string& identity : *identities) {
        const auto text = directory.read_definition(identity);
        if (!text) {
            log().error("journal {} is left alone: {}", identity, text.error());
            continue;
        }
        auto definition = parse_definition(*text);
        if (!definition || definition->identity != identity) {
            log().error("journal {} is left alone: its definition cannot be used: {}", identity,
                        definition ? "it is another queue's" : definition.error().reason);
            continue;
        }
        const bool of_this_boot = wire::Json::parse(*text).value("boot", "") == this_boot();
        if (definition->options.durability.value_or(wire::Durability::accepted) !=
            wire::Durability::accepted) {
            durable.push_back({std::move(*definition), of_this_boot});
        } else if (!of_this_boot) {
            log().info("queue {} ended with the machine; its overflow is removed",
                       definition->name);
            static_cast<void>(directory.remove_queue(identity));
        }
    }
    restoring_ = !durable.empty();
    return durable;
}

}  // namespace shmq::daemon

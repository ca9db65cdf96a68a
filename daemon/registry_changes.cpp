// What changes of a queue while it exists: edits, pauses, and what the configuration declares.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/events.hpp"
#include "daemon/log.hpp"
#include "daemon/queue_options.hpp"
#include "daemon/registry.hpp"

namespace shmq::daemon {
namespace {

// `present` with what is said in `wanted`, and what is cleared as if it had never been said.
wire::Outcome<wire::Options> changed(const Queue& queue, const Registry::Edit& edit) {
    const wire::Options present = queue.options();
    wire::Options options = overlaid(edit.wanted, present);
    if (edit.wanted.overflow == wire::Overflow::block) options.overflow = wire::Overflow::block;
    options.durability = present.durability;
    // Not doubled before, not doubled now: unless somebody says so.
    const bool doubles = present.retry_delay_max_ns > present.retry_delay_ns;
    if (edit.wanted.retry_delay_max_ns == 0) {
        options.retry_delay_max_ns =
            doubles ? std::max(options.retry_delay_ns, present.retry_delay_max_ns)
                    : options.retry_delay_ns;
    }
    for (const std::string& name : edit.clear) {
        if (name == "spill_limit") {
            options.spill_limit = 0;
        } else if (name == "retry_delay") {
            options.retry_delay_ns = options.retry_delay_max_ns = 0;
        } else if (name == "retry_delay_max") {
            options.retry_delay_max_ns = options.retry_delay_ns;
        } else {
            return std::unexpected(wire::invalid_parameter(
                "clear", fmt::format("{} is none of spill_limit, retry_delay, retry_delay_max",
                                     log_quoted(name))));
        }
    }
    return options;
}

}  // namespace

wire::Outcome<void> Registry::check_owner(const Caller& caller, const Queue& queue,
                                          const Edit& edit) {
    if (!edit.owner || *edit.owner == queue.ownership().owner) return {};
    if (!caller.may_all()) {
        return std::unexpected(wire::invalid_parameter(
            "owner", "only root, and whom the daemon runs as, may give a queue to another"));
    }
    if (auto failure = accounts_.charge_queue(*edit.owner, queue.memory_bytes()))
        return std::unexpected(std::move(*failure));
    return {};
}

wire::Outcome<std::shared_ptr<Queue>> Registry::edit(const Caller& caller, const std::string& name,
                                                     const Edit& edit) {
    auto found = find(caller, name, Right::manage, Right::manage);
    if (!found) return found;
    Queue& queue = **found;
    if (queue.quarantined())
        return std::unexpected(wire::quarantined(name, queue.quarantine_reason()));
    for (const Difference& difference : differences(queue, edit.wanted)) {
        if (std::string why = why_fixed(queue, difference.option, edit.wanted); !why.empty()) {
            return std::unexpected(wire::invalid_parameter(
                fmt::format("options.{}", difference.option),
                fmt::format("it is {} and cannot become {} while the queue exists: {}",
                            difference.present, difference.wanted, why)));
        }
    }
    auto options = changed(queue, edit);
    if (!options) return std::unexpected(options.error());
    // A group that it has already may be one that the caller is not in.
    wire::Options asked = *options;
    if (!edit.wanted.group) asked.group.reset();
    if (auto failure = check_queue_options(caller, name, asked)) return std::unexpected(*failure);
    if (auto owner = check_owner(caller, queue, edit); !owner)
        return std::unexpected(owner.error());
    const uid_t owner_before = queue.ownership().owner;
    const wire::Ownership ownership{.owner = edit.owner.value_or(owner_before),
                                    .group = *options->group,
                                    .mode = *options->mode};
    if (*options == queue.options() && ownership.owner == owner_before) return found;
    queue.change(*options, ownership);
    if (ownership.owner != owner_before)
        accounts_.release_queue(owner_before, queue.memory_bytes());
    if (auto kept = keep_changed(queue); !kept) return std::unexpected(kept.error());
    log().info("queue {} edited by uid {} (pid {})", name, caller.uid, caller.pid);
    tell("queue_edited", &queue, fmt::format("queue {} edited by uid {}", name, caller.uid),
         static_cast<std::uint32_t>(caller.pid));
    return found;
}

wire::Outcome<std::shared_ptr<Queue>> Registry::pause(const Caller& caller, const std::string& name,
                                                      std::optional<bool> producers,
                                                      std::optional<bool> consumers) {
    auto found = find(caller, name, Right::manage, Right::manage);
    if (!found) return found;
    Queue& queue = **found;
    if (queue.quarantined())
        return std::unexpected(wire::quarantined(name, queue.quarantine_reason()));
    const Paused before = queue.paused();
    const Paused paused{.producers = producers.value_or(before.producers),
                        .consumers = consumers.value_or(before.consumers)};
    // Even if nothing changes: whoever can write the ring may have changed the words there.
    queue.pause(paused);
    if (paused == before) return found;
    if (auto kept = keep_changed(queue); !kept) return std::unexpected(kept.error());
    const auto word = [](bool is) { return is ? "paused" : "going on"; };
    log().info("queue {}: producers {}, consumers {}, by uid {} (pid {})", name,
               word(paused.producers), word(paused.consumers), caller.uid, caller.pid);
    tell(paused == Paused{} ? "queue_resumed" : "queue_paused", &queue,
         fmt::format("queue {}: producers {}, consumers {}, by uid {}", name,
                     word(paused.producers), word(paused.consumers), caller.uid),
         static_cast<std::uint32_t>(caller.pid));
    return found;
}

wire::Outcome<void> Registry::keep_changed(Queue& queue) {
    if (auto written = write_down(queue); !written) return written;
    if (!queue.journal) return {};
    if (auto written = journals_.write_definition(queue); !written) {
        log().error("queue {}: its change is not on disk, and lasts as long as its memory: {}",
                    queue.name(), written.error());
    }
    return {};
}

void Registry::declare(const DeclaredQueue& declared) {
    Caller caller;
    caller.uid = ::geteuid();
    caller.gid = ::getegid();
    const auto complain = [&](const wire::Failure& failure) {
        log().error("queue {} of the configuration: {}: {}", declared.name, failure.error,
                    failure.parameters.dump());
    };
    if (!queues_.contains(declared.name)) {
        Caller maker = caller;
        maker.uid = declared.owner.value_or(caller.uid);
        wire::Options options = declared.options;
        if (!options.group) options.group = caller.gid;
        if (maker.uid != caller.uid) maker.groups = {*options.group};
        if (auto made = create(maker, declared.name, options, false); !made) complain(made.error());
        return;
    }
    const Queue& queue = *queues_.find(declared.name)->second;
    Edit wanted;
    wanted.wanted = declared.options;
    wanted.owner = declared.owner;
    for (const Difference& difference : differences(queue, declared.options)) {
        const std::string why = why_fixed(queue, difference.option, declared.options);
        if (why.empty()) continue;
        log().warn("queue {} of the configuration: {} is {} and stays so, not {}: {}",
                   declared.name, difference.option, difference.present, difference.wanted, why);
        leave_out(wanted.wanted, difference.option);
    }
    if (auto done = edit(caller, declared.name, wanted); !done) complain(done.error());
}

}  // namespace shmq::daemon

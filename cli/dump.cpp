// shmq dump NAME [--pid PID] [--all]: a queue's memory as it stands: header, participants, slots.
// Exit: as shmq audit, but that damage is no failure.
#include <array>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/listing.hpp"
#include "cli/memory.hpp"
#include "cli/observation.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "shm/audit.hpp"
#include "shm/dump.hpp"

namespace shmq::cli {
namespace {

struct DumpOptions {
    std::string name;
    std::optional<std::uint64_t> pid;
    bool all = false;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq dump jobs\n"
    "  shmq dump jobs --pid $(pgrep -o shmq-keeper)\n"
    "  shmq dump jobs --json | jq '.slots[] | select(.state == \"leased\")'";

constexpr auto slot_states = std::to_array<std::string_view>(
    {"free", "writing", "skipped", "ready", "leased", "returned", "closed"});
constexpr auto party_states =
    std::to_array<std::string_view>({"vacant", "attached", "hung up", "gone"});

std::string identity_of(const shm::Segment& segment) {
    std::string text;
    for (int i = 0; i < 16; ++i)
        text += fmt::format("{:02x}", segment.identity()[i]);
    return text;
}

struct HeaderLine {
    std::string_view name;
    std::uint64_t value;
};

std::vector<HeaderLine> header_of(const shm::Segment& segment) {
    const shm::SegmentHeader& header = segment.header();
    const shm::Shape& shape = segment.geometry().shape;
    const auto get = [](const auto& word) {
        return std::uint64_t{word.load(std::memory_order_relaxed)};
    };
    // The other half of the word counts those that were struck off.
    const auto waiting_at = [&](const shm::WaitPoint& point) {
        return std::uint64_t{static_cast<std::uint32_t>(get(point.waiters))};
    };
    return {{"version", header.version},
            {"segment_bytes", segment.geometry().segment_bytes},
            {"pool_bytes", segment.geometry().pool_bytes},
            {"capacity", shape.capacity},
            {"slot_size", shape.slot_size},
            {"max_message", shape.max_message},
            {"participants", shape.participants},
            {"flags", shape.flags},
            {"lease_ns", shape.lease_ns},
            {"head", get(header.head)},
            {"tail", get(header.tail)},
            {"returns", get(header.returns)},
            {"items_waiters", waiting_at(header.items)},
            {"items_closed", get(header.items.closed)},
            {"space_waiters", waiting_at(header.space)},
            {"space_closed", get(header.space.closed)},
            {"in_flight_cap", get(header.in_flight_cap)},
            {"live_flags", get(header.live_flags)},
            {"gate", get(header.gate)},
            {"supervisor_work", get(header.supervisor_work)},
            {"count_step", get(header.count_step)}};
}

std::string_view in_words(std::uint32_t number, std::span<const std::string_view> names) {
    return number < names.size() ? names[number] : "?";
}

std::string json_of(const Memory& memory, bool all_slots) {
    Json header = Json::object();
    for (const HeaderLine& line : header_of(*memory.segment))
        header.add(line.name, line.value);
    Json parties = Json::array();
    for (const shm::ParticipantView& party : shm::list_participants(*memory.segment)) {
        Json json = Json::object();
        json.add("participant", party.number)
            .add("state", in_words(static_cast<std::uint32_t>(party.state), party_states))
            .add("role", party.role == shm::Role::consumer ? "consumer" : "producer")
            .add("exclusive", party.exclusive)
            .add("pid", party.pid)
            .add("uid", party.uid)
            .add("generation", party.generation)
            .add("sent", party.sent)
            .add("delivered", party.delivered)
            .add("acked", party.acked);
        parties.push(std::move(json));
    }
    Json slots = Json::array();
    for (const shm::SlotDump& slot : shm::dump_slots(*memory.segment, all_slots)) {
        Json json = Json::object();
        json.add("ring", slot.ingress ? "ingress" : "front")
            .add("index", slot.index)
            .add("state", in_words(slot.state, slot_states))
            .add("lap", slot.lap)
            .add("tag", slot.tag)
            .add("owner", slot.owner)
            .add("sequence", slot.sequence)
            .add("length", slot.length)
            .add("timestamp", slot.timestamp)
            .add("cell", slot.cell)
            .add("attempts", slot.attempts)
            .add("note", slot.note);
        slot.in_block ? json.add("block", slot.block) : json.add_null("block");
        slot.in_block ? json.add("generation", slot.generation) : json.add_null("generation");
        slots.push(std::move(json));
    }
    Json json = Json::object();
    json.add("name", memory.queue)
        .add("through", memory.through)
        .add("identity", identity_of(*memory.segment))
        .add("header", std::move(header))
        .add("participants", std::move(parties))
        .add("slots", std::move(slots));
    return json.text();
}

std::string text_of(const Memory& memory, bool all_slots) {
    using enum Table::Align;
    Fields fields;
    fields.add("name", memory.queue);
    fields.add("through", memory.through);
    fields.add("identity", identity_of(*memory.segment));
    for (const HeaderLine& line : header_of(*memory.segment))
        fields.add(line.name, std::to_string(line.value));
    Table parties{{"PARTICIPANT", right},
                  {"STATE"},
                  {"ROLE"},
                  {"PID", right},
                  {"UID", right, 2},
                  {"GENERATION", right, 1},
                  {"SENT", right},
                  {"DELIVERED", right},
                  {"ACKED", right}};
    for (const shm::ParticipantView& party : shm::list_participants(*memory.segment)) {
        parties.add_row(
            {std::to_string(party.number),
             std::string(in_words(static_cast<std::uint32_t>(party.state), party_states)),
             party.role == shm::Role::consumer ? "consumer" : "producer", std::to_string(party.pid),
             std::to_string(party.uid), std::to_string(party.generation),
             std::to_string(party.sent), std::to_string(party.delivered),
             std::to_string(party.acked)});
    }
    Table slots{{"RING", left, 5},   {"INDEX", right},       {"STATE"},
                {"LAP", right},      {"TAG", right},         {"OWNER", right},
                {"SEQUENCE", right}, {"LENGTH", right},      {"AGE", right, 3},
                {"CELL", right, 4},  {"ATTEMPTS", right, 2}, {"NOTE", right, 1},
                {"BLOCK", right, 1}};
    for (const shm::SlotDump& slot : shm::dump_slots(*memory.segment, all_slots)) {
        slots.add_row({slot.ingress ? "ingress" : "front", std::to_string(slot.index),
                       std::string(in_words(slot.state, slot_states)), std::to_string(slot.lap),
                       std::to_string(slot.tag), std::to_string(slot.owner),
                       std::to_string(slot.sequence), std::to_string(slot.length),
                       format_duration(age_of(slot.timestamp)), fmt::format("{:x}", slot.cell),
                       fmt::format("{:x}", slot.attempts), fmt::format("{:x}", slot.note),
                       slot.in_block ? std::to_string(slot.block) : "-"});
    }
    return fields.text(coloured()) + "\n" + parties.text(coloured()) + "\n" +
           slots.text(coloured());
}

Exit dump(const Context& context, const DumpOptions& options) {
    const auto pid =
        options.pid ? std::optional(static_cast<std::uint32_t>(*options.pid)) : std::nullopt;
    for (const Memory& memory : open_memory(context, options.name, pid)) {
        if (memory.segment == nullptr) throw Failure(Exit::failed, escape(memory.problem));
        print(options.json ? json_of(memory, options.all) : text_of(memory, options.all));
    }
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<DumpOptions>();
    command.name(options->name);
    command.count("--pid", "PID",
                  "Through what this process holds, the keeper or any client: needs no daemon",
                  options->pid);
    command.flag("--all", "Free slots, too", options->all);
    command.json(options->json);
    return [options, &context] { return dump(context, *options); };
}

}  // namespace

constinit const Verb dump_verb{"dump", "Show a queue's memory as it stands", example, prepare};

}  // namespace shmq::cli

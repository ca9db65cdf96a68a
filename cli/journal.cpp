// shmq journal ls|verify|dump DIR|FILE|NAME [--state-dir DIR] [--json] [--payload]: what a queue
// has on disk, read from the files themselves: asks no daemon, changes nothing. Exit: 0 shown; 1
// cannot be read, or verify found damage; 3 no journal there.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "daemon/journal/directory.hpp"
#include "daemon/journal/recovery.hpp"
#include "daemon/journal/scan_file.hpp"

namespace shmq::cli {
namespace {

struct JournalOptions {
    std::vector<std::string> words;  // what to do, and where
    std::string state_directory;     // of a daemon; then the word is a queue's name
    bool json = false;
    bool payload = false;
};

constexpr std::string_view example =
    "  shmq journal ls DIR\n"
    "  shmq journal verify jobs --state-dir /var/lib/shmq\n"
    "  shmq journal verify DIR && echo whole\n"
    "  shmq journal dump --payload DIR/00000001-00000001.journal";

// A directory of journal files; `only`: the one that was named.
struct Place {
    std::unique_ptr<journal::Directory> directory;
    std::string path;
    std::string only;

    bool wanted(const std::string& name) const { return only.empty() || name == only; }
};

Place open_place(const std::string& word) {
    Place place;
    const std::filesystem::path path(word);
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        place.path = word;
    } else {
        if (!std::filesystem::exists(path, error))
            throw Failure(Exit::failed,
                          fmt::format("journal: {}: no such file or directory", escape(word)));
        place.path = path.has_parent_path() ? path.parent_path().string() : ".";
        place.only = path.filename().string();
    }
    auto directory = journal::Directory::open(place.path, journal::Directory::Use::read);
    if (!directory) throw Failure(Exit::failed, escape(directory.error()));
    place.directory = std::move(*directory);
    return place;
}

// The directory of that queue's files, by the definitions that the daemon left beside them.
std::string directory_of(const std::string& queue, const std::string& state_directory) {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::directory_iterator entries(fs::path(state_directory) / "queues", error);
    if (error)
        throw Failure(Exit::failed,
                      fmt::format("journal: {}: {}", escape(state_directory), error.message()));
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : entries) {
        std::ifstream file(entry.path() / "definition.json");
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        if (text_member(text, "name") == queue) found.push_back(entry.path().string());
    }
    if (found.size() == 1) return found.front();
    if (found.empty())
        throw Failure(Exit::failed, fmt::format("journal: no queue '{}' has files in {}",
                                                escape(queue), escape(state_directory)));
    throw Failure(Exit::failed,
                  fmt::format("journal: several were called '{}'; name one: {}", escape(queue),
                              escape(fmt::format("{}", fmt::join(found, ", ")))));
}

journal::Recovered read_log(const Place& place) {
    auto recovered = journal::recover(*place.directory, nullptr);
    if (recovered) return std::move(*recovered);
    const auto& error = recovered.error();
    throw Failure(
        Exit::failed,
        fmt::format("journal: {}: {}{}", escape(place.path), error.text,
                    error.os_error == 0 ? "" : fmt::format(": {}", std::strerror(error.os_error))));
}

std::string_view role_name(journal::FileRole role) {
    switch (role) {
        case journal::FileRole::log:
            return "log";
        case journal::FileRole::unused:
            return "unused";
        case journal::FileRole::superseded:
            return "superseded";
        case journal::FileRole::damaged:
            return "damaged";
        case journal::FileRole::foreign:
            return "foreign";
        case journal::FileRole::duplicate:
            return "copy";
        case journal::FileRole::newer:
            break;
    }
    return "newer";
}

bool has_header(const journal::FileReport& file) {
    return file.role != journal::FileRole::unused && file.role != journal::FileRole::damaged;
}

std::string_view kind_of(const journal::FileReport& file) {
    if (!has_header(file)) return "-";
    const bool durable = file.header.kind == static_cast<std::uint32_t>(journal::LogKind::durable);
    return durable ? "durable" : "spill";
}

std::string queue_of(const journal::FileReport& file) {
    return has_header(file) ? escape(journal::name_of(file.header)) : "-";
}

Exit list(const Place& place, bool as_json) {
    const journal::Recovered log = read_log(place);
    Json all = Json::array();
    using enum Table::Align;
    Table table{
        {"FILE"},        {"QUEUE"},           {"KIND"},        {"STATE"},      {"FIRST", right},
        {"LAST", right}, {"MESSAGES", right}, {"USED", right}, {"SIZE", right}};
    bool any = false;
    for (const journal::FileReport& file : log.files) {
        if (!place.wanted(file.name)) continue;
        any = true;
        const bool part = file.role == journal::FileRole::log;
        const std::string_view state =
            part && file.damaged_inside ? "log, damaged" : role_name(file.role);
        table.add_row({escape(file.name), queue_of(file), std::string(kind_of(file)),
                       std::string(state), part ? std::to_string(file.first_lsn) : "-",
                       part ? std::to_string(file.last_lsn) : "-",
                       part ? std::to_string(file.messages) : "-",
                       part ? format_size(file.written_end) : "-", format_size(file.bytes)});
        all.push(std::move(Json::object()
                               .add("file", file.name)
                               .add("queue", queue_of(file))
                               .add("kind", kind_of(file))
                               .add("state", role_name(file.role))
                               .add("damaged", file.damaged_inside)
                               .add("sealed", file.sealed)
                               .add("first", file.first_lsn)
                               .add("last", file.last_lsn)
                               .add("messages", file.messages)
                               .add("used_bytes", file.written_end)
                               .add("size_bytes", file.bytes)));
    }
    if (as_json) {
        print(all.text());
    } else if (any) {
        print(table.text());
    }
    return any ? Exit::done : Exit::nothing;
}

std::string text_of(const journal::Damage& damage) {
    std::string text = fmt::format("{}: offset {}", escape(damage.file), damage.offset);
    if (damage.bytes != 0) text += fmt::format(", {} bytes", damage.bytes);
    text += damage.records == 0
                ? std::string(", records unknown")
                : fmt::format(", {} {} from {}", damage.records,
                              damage.records == 1 ? "record" : "records", damage.first_lsn);
    return text + ": " + damage.what + "\n";
}

Exit verify(const Place& place, bool as_json) {
    const journal::Recovered log = read_log(place);
    if (std::none_of(log.files.begin(), log.files.end(),
                     [&](const journal::FileReport& file) { return place.wanted(file.name); }))
        return Exit::nothing;
    Json found = Json::array();
    std::string text;
    bool whole = true;
    for (const journal::Damage& damage : log.damage) {
        if (!place.wanted(damage.file)) continue;
        whole = false;
        text += text_of(damage);
        found.push(std::move(Json::object()
                                 .add("file", damage.file)
                                 .add("offset", damage.offset)
                                 .add("bytes", damage.bytes)
                                 .add("first", damage.first_lsn)
                                 .add("records", damage.records)
                                 .add("what", damage.what)));
    }
    if (as_json) {
        Json all = Json::object();
        all.add("whole", whole)
            .add("waiting", log.live.count())
            .add("last", log.next_lsn - 1)
            .add("not_proven_synced", std::uint64_t{log.tail.size()})
            .add("torn_records", log.torn_records)
            .add("damage", std::move(found));
        print(all.text());
    } else {
        print(text + fmt::format("{}: {} messages wait, last record {}\n",
                                 whole ? "whole" : "damaged", log.live.count(), log.next_lsn - 1));
    }
    return whole ? Exit::done : Exit::failed;
}

std::string line_of(const journal::Record& record) {
    const journal::RecordHeader& header = record.header;
    std::string line = fmt::format("{:>10}  {:<8} lsn {}", record.offset,
                                   journal::kind_name(record.kind()), header.lsn);
    switch (record.kind()) {
        case journal::RecordKind::message:
            line += fmt::format(", sequence {}, {} bytes", header.sequence, header.length);
            if (header.position != journal::position_none)
                line += fmt::format(", position {}", header.position);
            if ((header.flags & journal::flag_redelivered) != 0) line += ", redelivered";
            if ((header.flags & journal::flag_moved) == 0) break;
            if (const auto origin = journal::read_origin(record.payload))
                line +=
                    fmt::format(", moved: {} bytes, {} {} of queue {:02x}", origin->message_bytes,
                                origin->kind == static_cast<std::uint32_t>(journal::OriginKind::lsn)
                                    ? "lsn"
                                    : "sequence",
                                origin->number, fmt::join(origin->queue, ""));
            break;
        case journal::RecordKind::attempts:
            line += fmt::format(", lsn {}, {} deliveries, {} failures", header.position,
                                header.deliveries, header.failures);
            break;
        case journal::RecordKind::settled:
        case journal::RecordKind::front:
            line += fmt::format(", lsn {} and {} more", header.position, header.sequence - 1);
            break;
        case journal::RecordKind::counts:
            line += fmt::format(", floor {}, {} bytes", header.position, header.length);
            break;
        default:
            break;
    }
    return line + "\n";
}

// Whatever can be read, without asking whether it still counts.
void dump_file(const Place& place, const std::string& name, bool payload) {
    std::unique_ptr<journal::File> file;
    std::uint64_t bytes = 0;
    if (const int error = place.directory->open(name, file, bytes); error != 0)
        throw Failure(Exit::failed,
                      fmt::format("journal: {}: {}", escape(name), std::strerror(error)));
    std::vector<std::byte> sector(sizeof(journal::FileHeader));
    const auto count = journal::read_whole(*place.directory, *file, 0, sector);
    sector.resize(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
    journal::FileHeader header;
    const auto state = journal::read_header(sector, header);
    if (state != journal::HeaderState::good) {
        print(fmt::format("{}: {}\n", escape(name),
                          state == journal::HeaderState::unused ? "not in use"
                          : state == journal::HeaderState::newer
                              ? "of a newer version"
                              : "no journal, or its header is damaged"));
        return;
    }
    print(fmt::format("{}: queue {}, epoch {}, serial {}, from lsn {}\n", escape(name),
                      escape(journal::name_of(header)), header.epoch, header.serial,
                      header.first_lsn));
    journal::FileScan scan(*place.directory, std::move(file), header, bytes);
    for (auto step = scan.next(); step != journal::Scanner::Step::end; step = scan.next()) {
        if (step == journal::Scanner::Step::hole) {
            const journal::Hole& hole = scan.hole();
            print(hole.next_lsn == 0
                      ? fmt::format("{:>10}  end\n", hole.offset)
                      : fmt::format("{:>10}  no valid record up to {}\n", hole.offset, hole.end));
            continue;
        }
        print(line_of(scan.record()));
        const auto content = scan.record().payload;
        if (payload && !content.empty())
            print(hex_dump({reinterpret_cast<const char*>(content.data()), content.size()}));
    }
}

Exit dump(const Place& place, bool payload) {
    if (!place.only.empty()) {
        dump_file(place, place.only, payload);
        return Exit::done;
    }
    const journal::Recovered log = read_log(place);
    for (const journal::FileReport& file : log.files)
        dump_file(place, file.name, payload);
    return log.files.empty() ? Exit::nothing : Exit::done;
}

Exit run_journal(const JournalOptions& options) {
    const auto& words = options.words;
    const bool known =
        words.size() == 2 && (words[0] == "ls" || words[0] == "verify" || words[0] == "dump");
    if (!known)
        throw Failure(Exit::usage,
                      "journal: needs ls, verify or dump, and a directory or file, or with "
                      "--state-dir a queue's name");
    if (words[0] == "dump" && options.json)
        throw Failure(Exit::usage, "journal: dump prints text only");
    if (words[0] != "dump" && options.payload)
        throw Failure(Exit::usage, "journal: --payload goes with dump");
    const Place place = open_place(options.state_directory.empty()
                                       ? words[1]
                                       : directory_of(words[1], options.state_directory));
    if (words[0] == "ls") return list(place, options.json);
    if (words[0] == "verify") return verify(place, options.json);
    return dump(place, options.payload);
}

Action prepare(Options& command, const Context&) {
    auto options = std::make_shared<JournalOptions>();
    command.words("WORDS", "ls|verify|dump DIR|FILE|NAME", options->words);
    command.text(
        "--state-dir", "DIR",
        "State directory of a daemon ('shmq status' names it), to find a queue by its name",
        options->state_directory);
    command.json(options->json);
    command.flag("--payload", "dump: the payloads, too, in hex", options->payload);
    return [options] { return run_journal(*options); };
}

}  // namespace

constinit const Verb journal_verb{"journal", "Look at journal files; needs no daemon", example,
                                  prepare};

}  // namespace shmq::cli

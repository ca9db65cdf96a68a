#include "daemon/definition.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/version.hpp"
#include "shm/layout.hpp"

namespace shmq::daemon {
namespace {

constexpr std::size_t definition_max_bytes = std::size_t{64} << 10;
constexpr int required_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

DefinitionRefusal refusal(std::string reason) {
    return {false, std::move(reason)};
}

// root's word counts as well: who is root can do everything to us.
bool made_by_us(uid_t uid) {
    return uid == ::geteuid() || uid == 0;
}

std::expected<wire::Json, DefinitionRefusal> json_of(std::string_view text) {
    wire::Json json = wire::Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return std::unexpected(refusal("it is not JSON"));
    return json;
}

std::expected<std::string, DefinitionRefusal> read_text(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return std::unexpected(refusal("it cannot be looked at"));
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & required_seals) != required_seals) {
        return std::unexpected(refusal("it is not a memfd sealed against every change"));
    }
    if (!made_by_us(status.st_uid)) {
        return std::unexpected(
            refusal(fmt::format("uid {} made it, and not this daemon's", status.st_uid)));
    }
    if (status.st_size <= 0 || static_cast<std::size_t>(status.st_size) > definition_max_bytes) {
        return std::unexpected(refusal(fmt::format("it has {} bytes", status.st_size)));
    }
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    if (::pread(fd, text.data(), text.size(), 0) != status.st_size) {
        return std::unexpected(refusal("it cannot be read"));
    }
    return text;
}

// Before anything else is looked at: of another format, nothing else need make sense to us.
std::optional<DefinitionRefusal> check_version(const wire::Json& json) {
    std::string written_by;
    std::uint32_t version = 0;
    std::uint64_t fingerprint = 0;
    wire::Members members(json, "definition");
    members.require("written_by", written_by);
    members.require("segment_version", version);
    members.require("fingerprint", fingerprint);
    if (auto failure = members.finish(wire::Unknown::ignore)) {
        return refusal(failure->parameters.dump());
    }
    if (version == shm::segment_version && fingerprint == shm::segment_fingerprint) return {};
    return DefinitionRefusal{
        true, fmt::format("shmqd {} made it with segments of format {}/{:x}, this is shmqd {} with "
                          "format {}/{:x}",
                          written_by, version, fingerprint, version_text(), shm::segment_version,
                          shm::segment_fingerprint)};
}

std::expected<Definition, DefinitionRefusal> definition_of(const wire::Json& json) {
    Definition definition;
    wire::Members members(json, "definition");
    members.require("name", definition.name);
    members.require("identity", definition.identity);
    members.require("owner", definition.ownership.owner);
    members.require("group", definition.ownership.group);
    members.require("mode", definition.ownership.mode);
    members.require("ring_inode", definition.ring_inode);
    members.require("pool_inode", definition.pool_inode);
    members.take("paused_producers", definition.paused.producers);
    members.take("paused_consumers", definition.paused.consumers);
    const wire::Json* options = members.require_any("options");
    if (auto failure = members.finish(wire::Unknown::ignore)) {
        return std::unexpected(refusal(failure->parameters.dump()));
    }
    auto parsed = wire::options_from_json(*options, "options", wire::Unknown::ignore);
    if (!parsed) return std::unexpected(refusal(parsed.error().parameters.dump()));
    definition.options = *parsed;
    if (std::string wrong = wire::check_name(definition.name); !wrong.empty()) {
        return std::unexpected(refusal(std::move(wrong)));
    }
    return definition;
}

}  // namespace

std::string definition_text(const Definition& definition) {
    const wire::Json json = {{"written_by", version_text()},
                             {"segment_version", shm::segment_version},
                             {"fingerprint", shm::segment_fingerprint},
                             {"name", definition.name},
                             {"identity", definition.identity},
                             {"owner", definition.ownership.owner},
                             {"group", definition.ownership.group},
                             {"mode", definition.ownership.mode},
                             {"options", wire::to_json(definition.options)},
                             {"paused_producers", definition.paused.producers},
                             {"paused_consumers", definition.paused.consumers},
                             {"ring_inode", definition.ring_inode},
                             {"pool_inode", definition.pool_inode}};
    return json.dump();
}

std::expected<Definition, DefinitionRefusal> parse_definition(std::string_view text) {
    auto json = json_of(text);
    if (!json) return std::unexpected(std::move(json.error()));
    return definition_of(*json);
}

Fd write_definition(const Definition& definition) {
    const std::string text = definition_text(definition);
    Fd fd(::memfd_create("shmq-definition", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::fchmod(fd.get(), 0600) != 0 ||
        ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fcntl(fd.get(), F_ADD_SEALS, required_seals) != 0) {
        return {};
    }
    return fd;
}

std::expected<Definition, DefinitionRefusal> parse_kept_definition(std::string_view text) {
    auto json = json_of(text);
    if (!json) return std::unexpected(std::move(json.error()));
    if (auto refused = check_version(*json)) return std::unexpected(std::move(*refused));
    return definition_of(*json);
}

std::expected<Definition, DefinitionRefusal> read_definition(int fd) {
    const auto text = read_text(fd);
    if (!text) return std::unexpected(text.error());
    return parse_kept_definition(*text);
}

std::uint64_t inode_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

bool is_memory_of_ours(int fd, std::uint64_t inode) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && status.st_ino == inode && made_by_us(status.st_uid) &&
           ::fcntl(fd, F_GET_SEALS) > 0;
}

}  // namespace shmq::daemon

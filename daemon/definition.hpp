// What a queue is, in a form that outlives the daemon: as text in its catalogue (catalogue.hpp),
// and for clients, who can carry it but not forge it, in a memfd that the daemon wrote and sealed
// against every change. Its owner, as fstat tells, is whom the daemon runs as, and so is the owner
// of the memory it names by inode.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "daemon/rights.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

// Which sides of a queue wait until a manager resumes them.
struct Paused {
    bool producers = false;
    bool consumers = false;
    bool operator==(const Paused&) const = default;
};

struct Definition {
    std::string name;
    std::string identity;  // 32 hexadecimal digits
    wire::Ownership ownership{};
    wire::Options options;         // as in force
    std::uint64_t ring_inode = 0;  // of the memfds
    std::uint64_t pool_inode = 0;  // 0: no pool, or none yet
    Paused paused;
};

struct DefinitionRefusal {
    bool incompatible = false;  // of another format: whoever wrote it can read it
    std::string reason;
};

// As JSON, and back. On disk there is no memory, and it matters not beside which version of
// segments it was written.
std::string definition_text(const Definition& definition);
std::expected<Definition, DefinitionRefusal> parse_definition(std::string_view text);
// The same of what there is memory for: only of the version that this daemon knows.
std::expected<Definition, DefinitionRefusal> parse_kept_definition(std::string_view text);

// Sealed; invalid: errno.
Fd write_definition(const Definition& definition);
// Believes nothing: seals, owner, size, syntax and version are checked. `trusted`: it comes from
// our own keeper, who may run as somebody else than whoever wrote it.
std::expected<Definition, DefinitionRefusal> read_definition(int fd);

// Whether `fd` is a memfd of that inode that whom we run as has made.
bool is_memory_of_ours(int fd, std::uint64_t inode);
std::uint64_t inode_of(int fd);  // 0: errno

}  // namespace shmq::daemon

// What a queue is, in a form that outlives the daemon and that clients can carry but not forge: a
// memfd that the daemon wrote and sealed against every change. Its owner, as fstat tells, is whom
// the daemon runs as, and so is the owner of the memory it names by inode.
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
    std::uint64_t pool_inode = 0;  // 0: no pool
    // The number that the memory is kept under; 0: the definition's own. A queue that was changed
    // has another definition, and the same memory.
    std::uint64_t memory_id = 0;
    Paused paused;
};

struct DefinitionRefusal {
    bool incompatible = false;  // of another format: whoever wrote it can read it
    std::string reason;
};

// As JSON, to be kept on disk; and back, whatever version of segments it was written beside: on
// disk there are none.
std::string definition_text(const Definition& definition);
std::expected<Definition, DefinitionRefusal> parse_definition(std::string_view text);

// Sealed; invalid: errno.
Fd write_definition(const Definition& definition);
// Believes nothing: seals, owner, size, syntax and version are checked. `trusted`: it comes from
// our own keeper, who may run as somebody else than whoever wrote it.
std::expected<Definition, DefinitionRefusal> read_definition(int fd);

// Whether `fd` is a memfd of that inode that whom we run as has made.
bool is_memory_of_ours(int fd, std::uint64_t inode);
std::uint64_t inode_of(int fd);  // 0: errno

}  // namespace shmq::daemon

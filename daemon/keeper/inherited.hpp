// What a predecessor left: the descriptors that came with our start, by $LISTEN_FDS.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "base/limits.hpp"

namespace shmq::daemon {

// Names under which a daemon leaves descriptors. Short: all of them travel in one environment
// variable, which has at most names_max_bytes. A queue's and a process's carry a number of their
// own. What a queue is stands in the catalogue.
namespace kept {
constexpr std::string_view listener = "listener";
constexpr std::string_view lent = "lent";  // not kept: a socket unit's listening socket
constexpr std::string_view lock = "lock";
constexpr std::string_view roster = "roster";
constexpr std::string_view catalogue = "catalogue";
constexpr std::string_view keeper = "keeper";  // not kept: the way to who keeps
constexpr char ring = 'R';
constexpr char pool = 'P';
constexpr char process = 'C';
}  // namespace kept

// Of one string of the environment (32 pages), less the variable's name, what a manager's own
// sockets are called, and some to spare.
constexpr std::size_t names_max_bytes = (std::size_t{128} << 10) - 1024;
// A ring and a pool of each queue, under numbers that are the least free: `R7zz:`. What is left is
// for processes.
static_assert(limits::queues_max < std::size_t{36} * 36 * 36 &&
              limits::queues_max * 2 * 5 + 4096 <= names_max_bytes);

std::string kept_name(char kind, std::uint64_t id);
// The number of a name of that kind; 0: it is none.
std::uint64_t kept_id(std::string_view name, char kind);

using Inherited = std::map<std::string, Fd>;

// Takes them out of the environment, so that no program that we start takes them for its own.
// A listening socket of another name than `listener` is a socket unit's: `lent`.
Inherited take_inherited();
// How often the manager wants to hear that we live ($WATCHDOG_USEC); 0: it does not.
Nanoseconds take_watchdog();
// The descriptor of that name; invalid if there is none.
Fd take(Inherited& inherited, const std::string& name);

}  // namespace shmq::daemon

// Who takes part in a queue, as consumers and top show it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"
#include "cli/json.hpp"

namespace shmq::cli {

// A producer or consumer handle, as of one look.
struct Member {
    std::uint32_t number = 0;
    bool consumer = false;
    bool exclusive = false;
    bool hung_up = false;   // its session ended, its process lives
    std::uint32_t pid = 0;  // 0: of another pid namespace
    std::uint32_t uid = 0;
    std::string executable;  // empty: not ours to know
    char state = '?';        // of its process: R, S, D, T, Z; ? unknown
    std::chrono::nanoseconds attached{0};
    std::uint64_t sent = 0, delivered = 0, acked = 0, redelivered = 0;
    std::uint64_t in_flight = 0;
    std::chrono::nanoseconds oldest_unacked{0};  // since it was sent; of messages in flight

    // A consumer that holds messages and cannot go on by itself.
    bool stuck() const { return in_flight > 0 && (state == 'T' || state == 't' || state == 'Z'); }
};

// By number. Takes the right to consume or to manage.
std::vector<Member> members_of(Client& client, std::string_view queue);

Json to_json(const Member& member);

}  // namespace shmq::cli

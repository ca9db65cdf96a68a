// What every peer of the report looks like, shmq among them: one file each, one program each,
// behind this one interface, so that all of them do the same work the same way.
//
//   struct Peer {
//       explicit Peer(const Case&);   // in the parent, before the roles are forked: makes what
//       ~Peer();                      // both sides need, and removes it when they have ended
//       struct Sender {
//           Sender(Peer&, Place);     // in the role's own process
//           void send(Bytes);         // returns when the peer has the message; waits for room
//           void flush();             // nothing that was sent is kept back any more
//       };
//       struct Receiver {
//           Receiver(Peer&, Place);
//           void receive(Room);       // waits for a message, copies it out, and acks it
//       };
//   };
//   int main(int count, char** arguments) { return run_peer<Peer>(count, arguments); }
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "support/die.hpp"

namespace shmq::bench {

using Bytes = std::span<const std::byte>;
using Room = std::span<std::byte>;

// One measurement: what the driver asks of one run of one peer.
struct Case {
    std::string work = "throughput";
    std::size_t size = 64;  // of a payload, bytes; at least 8
    unsigned producers = 1;
    unsigned consumers = 1;
    // Wait by looking again and never by sleeping; else by the peer's own blocking call.
    bool spin = false;
    // Whether every byte is written and read. Not: the first eight only, for who passes no copies.
    bool touch = true;
    std::string variant;  // what only this peer knows
    std::string server;   // where its server answers
    std::string directory = "/tmp";
    double seconds = 0.2;
    double rate = 0;         // open loop: messages a second
    unsigned idle_us = 100;  // wake: how long the other has been asleep
    unsigned window = 1000;  // confirms: messages that may be unconfirmed
    bool pinned = true;      // see Terms
    bool real_time = true;

    bool is(const char* word) const { return variant.find(word) != std::string::npos; }
};

// Lanes are one-way: 0 there, 1 back. `index` counts the producers, or the consumers, of a lane.
struct Place {
    unsigned lane = 0;
    unsigned index = 0;
};

// A name that no other run has: the peers' objects live in the system's one name space.
std::string own_name(const char* what, unsigned lane);

constexpr std::uint64_t end_mark = ~std::uint64_t{0};

inline std::uint64_t first_word(Bytes bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    return word;
}

inline void set_first_word(Room bytes, std::uint64_t word) {
    std::memcpy(bytes.data(), &word, sizeof word);
}

// A call of memcpy costs as much as a message: the small sizes are copied in line, for everybody.
inline void copy_bytes(std::byte* to, const std::byte* from, std::size_t size) {
    switch (size) {
        case 8:
            std::memcpy(to, from, 8);
            return;
        case 32:
            std::memcpy(to, from, 32);
            return;
        case 64:
            std::memcpy(to, from, 64);
            return;
        default:
            std::memcpy(to, from, size);
    }
}

// The payload goes over whole, or its first word alone.
inline void pass(bool touch, std::byte* to, const std::byte* from, std::size_t size) {
    copy_bytes(to, from, touch ? size : sizeof(std::uint64_t));
}

template <typename T>
concept Transport = std::constructible_from<T, const Case&> &&
    std::constructible_from<typename T::Sender, T&, Place> &&
    std::constructible_from<typename T::Receiver, T&, Place> &&
    requires(typename T::Sender& sender, typename T::Receiver& receiver, Bytes bytes, Room room) {
    sender.send(bytes);
    sender.flush();
    receiver.receive(room);
};

}  // namespace shmq::bench

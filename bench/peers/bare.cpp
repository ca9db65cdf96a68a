// The machine itself: what no peer can pass.
//
//   hand_over   a sequence number and the payload in one cache line, one line for each direction;
//   no
//               queue, no room to wait for. With `sleep` the receiver waits in the futex: the least
//               that a wake-up costs. Up to 48 bytes.
//   stream      slots in a ring, each with a word that says whose turn it is: 64-byte slots bound
//   what
//               small messages can do, slots of any size are a bare copy in and out.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

constexpr std::size_t line_bytes = 64;
constexpr std::size_t page_bytes = 4096;

void prefetch_to_write(const void* line) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
    __builtin_prefetch(line, 1, 3);
#endif
}

std::byte* shared_lanes(std::size_t bytes) {
    void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mapped == MAP_FAILED) die_of_errno("mmap");
    return static_cast<std::byte*>(mapped);
}

// ---- Hand-over ---------------------------------------------------------------------------------

struct HandOver {
    struct Line {
        std::atomic<std::uint32_t> number;
        std::byte payload[48];
    };

    explicit HandOver(const Case& of) : one(of), lanes(shared_lanes(2 * page_bytes)) {
        if (one.size > sizeof(Line::payload)) die("a hand-over is one cache line: up to 48 bytes");
    }

    struct Side {
        Side(HandOver& all, Place place)
            : line(*reinterpret_cast<Line*>(all.lanes + place.lane * page_bytes)),
              spin(all.one.spin) {}
        void futex(int operation, std::uint32_t value) {
            ::syscall(SYS_futex, &line.number, operation, value, nullptr, nullptr, 0);
        }
        Line& line;
        bool spin;
        std::uint32_t number = 0;
    };

    struct Sender : Side {
        using Side::Side;
        void send(Bytes payload) {
            copy_bytes(line.payload, payload.data(), payload.size());
            line.number.store(++number, std::memory_order_release);
            if (!spin) futex(FUTEX_WAKE, 1);
        }
        void flush() {}
    };

    struct Receiver : Side {
        using Side::Side;
        void receive(Room into) {
            ++number;
            for (std::uint32_t seen;
                 (seen = line.number.load(std::memory_order_acquire)) != number;) {
                if (!spin) futex(FUTEX_WAIT, seen);
            }
            copy_bytes(into.data(), line.payload, into.size());
        }
    };

    Case one;
    std::byte* lanes;
};

// ---- Stream ------------------------------------------------------------------------------------

// `fixed_slot_bytes`: known when it is compiled, for the small slots where that counts; else 0.
template <std::size_t fixed_slot_bytes>
struct Stream {
    struct Slot {
        std::atomic<std::uint32_t> turn;  // two for each lap; the payload follows
    };
    static constexpr std::size_t header_bytes = 16;
    // Fits the cache of a core: nothing but the passage from one to the other is measured.
    static constexpr std::size_t ring_bytes = 64 * 1024;
    static constexpr std::size_t fetched_most = 512;

    explicit Stream(const Case& of)
        : one(of),
          slot_bytes((header_bytes + one.size + line_bytes - 1) / line_bytes * line_bytes),
          slots_log2(std::countr_zero(
              std::bit_floor(slot_bytes < ring_bytes / 2 ? ring_bytes / slot_bytes : 2))),
          lane_bytes((slot_bytes << slots_log2) + page_bytes),
          ring(shared_lanes(2 * lane_bytes)) {}

    struct Side {
        Side(Stream& all, Place place)
            : ring(all.ring + place.lane * all.lane_bytes),
              slot_bytes(all.slot_bytes),
              slots_log2(all.slots_log2),
              breaths(all.one.work == "throughput" ? 16 : 0) {}
        Slot& slot(std::uint64_t at) const {
            const std::uint64_t index = at & ((std::uint64_t{1} << lap_bits()) - 1);
            return *reinterpret_cast<Slot*>(
                ring + index * (fixed_slot_bytes ? fixed_slot_bytes : slot_bytes));
        }
        int lap_bits() const {
            constexpr auto known = fixed_slot_bytes ? fixed_slot_bytes : line_bytes;
            return fixed_slot_bytes ? std::countr_zero(ring_bytes / known) : slots_log2;
        }
        static std::byte* bytes(Slot& slot) {
            return reinterpret_cast<std::byte*>(&slot) + header_bytes;
        }
        std::uint32_t turn() const { return static_cast<std::uint32_t>(number >> lap_bits() << 1); }
        // The slot of the next message, when its turn has come.
        Slot& wait_for(std::uint32_t wanted) {
            Slot& next = slot(number);
            fetch_ahead();
            while (next.turn.load(std::memory_order_acquire) != wanted) {
                // Who looks at every line as it is written only slows its writer.
                for (int breath = 0; breath < breaths; ++breath)
                    breathe();
            }
            ++number;
            return next;
        }
        // Of large slots the processor sees by itself what comes next.
        void fetch_ahead() const {
            std::byte* const ahead = reinterpret_cast<std::byte*>(&slot(number + 8));
            const std::size_t bytes = fixed_slot_bytes ? fixed_slot_bytes : slot_bytes;
            for (std::size_t at = 0; at < (bytes <= fetched_most ? bytes : line_bytes);
                 at += line_bytes)
                prefetch_to_write(ahead + at);
        }
        std::byte* ring;
        std::size_t slot_bytes;
        int slots_log2;
        int breaths;
        std::uint64_t number = 0;
    };

    struct Sender : Side {
        using Side::Side;
        void send(Bytes payload) {
            const std::uint32_t turn = Side::turn();
            Slot& slot = Side::wait_for(turn);
            copy_bytes(Side::bytes(slot), payload.data(), payload.size());
            slot.turn.store(turn + 1, std::memory_order_release);
        }
        void flush() {}
    };

    struct Receiver : Side {
        using Side::Side;
        void receive(Room into) {
            const std::uint32_t turn = Side::turn();
            Slot& slot = Side::wait_for(turn + 1);
            copy_bytes(into.data(), Side::bytes(slot), into.size());
            slot.turn.store(turn + 2, std::memory_order_release);
        }
    };

    Case one;
    std::size_t slot_bytes;
    int slots_log2;
    std::size_t lane_bytes;
    std::byte* ring;
};

// What a spin loop on this machine sees of messages that come due at a rate: no peer can be better.
void idle_loop(const Case& one) {
    const Role roles[] = {{1, [&](Stage& stage) {
                               const double interval = 1e9 / stage.nanoseconds_per_tick / one.rate;
                               const auto all = static_cast<std::uint64_t>(one.rate * one.seconds);
                               const std::uint64_t every = look_every(one);
                               stage.start();
                               const std::uint64_t start = ticks();
                               for (std::uint64_t number = 0; number < all; number += every) {
                                   const std::uint64_t due =
                                       start + static_cast<std::uint64_t>(
                                                   static_cast<double>(number) * interval);
                                   std::uint64_t now = ticks();
                                   while (now < due)
                                       now = ticks();
                                   stage.times.add(now - due);
                               }
                           }}};
    print_times(play(roles, terms(one)), 1, 1);
}

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    using namespace shmq::bench;
    const Case one = parse_case(count, arguments);
    if (one.work == "open_loop" && one.is("idle_loop")) {
        idle_loop(one);
        return 0;
    }
    if (!one.is("stream")) return run_peer<HandOver>(count, arguments);
    return one.size <= 48 ? run_peer<Stream<line_bytes>>(count, arguments)
                          : run_peer<Stream<0>>(count, arguments);
}

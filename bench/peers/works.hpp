// The works: what is measured of every peer, written once. Each prints one line of JSON.
//
//   throughput   producers send as fast as the peer takes it, consumers receive, for so many
//   seconds latency      one message back and forth; each side waits for the other wake         the
//   same, but the receiver has been left alone for a while before each message open_loop messages
//   come due at a fixed rate, whether or not the peer keeps up; a message's time
//                runs from when it was due (no coordinated omission)
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "peers/transport.hpp"
#include "support/stage.hpp"

namespace shmq::bench {

// Of the command line; ends the program where it is wrong.
Case parse_case(int count, char** arguments);
void print_throughput(const Case& one, const Stage& stage);
// `per_value`: how many one-way trips a value of stage.times, and of stage.more_times, stands for.
void print_times(const Stage& stage, double per_value, double per_more_value);

// Small messages are all different and made beforehand: making them is not what is measured.
class Payloads {
  public:
    explicit Payloads(std::size_t size)
        : size_(size), count_(size <= 1024 ? 64 : 1), bytes_(size * count_) {
        for (std::size_t i = 0; i < count_; ++i)
            set_first_word(room(i), i);
    }
    Bytes number(std::uint64_t number) {
        if (count_ == 1) set_first_word(room(0), number);
        return room(number & (count_ - 1));
    }
    // Whether `bytes` begin as number(number) does.
    bool is(Bytes bytes, std::uint64_t number) const {
        return first_word(bytes) == (count_ == 1 ? number : number & (count_ - 1));
    }

  private:
    Room room(std::size_t index) { return Room(bytes_).subspan(index * size_, size_); }

    std::size_t size_;
    std::size_t count_;
    std::vector<std::byte> bytes_;
};

inline Nanoseconds nanoseconds(double seconds) {
    return static_cast<Nanoseconds>(seconds * nanoseconds_per_second);
}

// Looks at the clock so rarely that it costs nothing, and often enough to end in time.
class Stride {
  public:
    // True when it is time for a look; `now` is then the time.
    bool due(std::uint64_t done, Nanoseconds& now) {
        if (done < next_) [[likely]]
            return false;
        now = monotonic_now();
        if (now - last_ < 200'000 && length_ < (1u << 16)) length_ *= 2;
        if (now - last_ > 2'000'000 && length_ > 1) length_ /= 2;
        last_ = now;
        next_ = done + length_;
        return true;
    }

  private:
    Nanoseconds last_ = 0;
    std::uint64_t next_ = 1;
    std::uint64_t length_ = 1;
};

inline Terms terms(const Case& one) {
    return {.pinned = one.pinned, .real_time = one.real_time, .seconds_most = one.seconds * 4 + 15};
}

// ---- Throughput --------------------------------------------------------------------------------

template <Transport Peer>
[[gnu::flatten]] void produce(Peer& peer, const Case& one, unsigned index, Stage& stage) {
    typename Peer::Sender sender(peer, {.lane = 0, .index = index});
    Payloads payloads(one.size);
    Stage::Account& account = stage.accounts[index];
    const Nanoseconds end = stage.start() + nanoseconds(one.seconds * 1.2);
    const double cpu_before = cpu_seconds();
    Stride stride;
    std::uint64_t sent = 0;
    for (Nanoseconds now = 0; now < end;) {
        sender.send(payloads.number(sent++));
        stride.due(sent, now);
    }
    sender.flush();
    account.messages = sent;
    account.cpu_seconds = cpu_seconds() - cpu_before;
    if (stage.ended_producers.fetch_add(1) + 1 == one.producers) {
        std::vector<std::byte> last(one.size);
        set_first_word(last, end_mark);
        for (unsigned i = 0; i < one.consumers; ++i)
            sender.send(last);
        sender.flush();
    }
    stage.leave();
}

template <Transport Peer>
[[gnu::flatten]] void consume(Peer& peer, const Case& one, unsigned index, Stage& stage) {
    typename Peer::Receiver receiver(peer, {.lane = 0, .index = index});
    std::vector<std::byte> into(one.size);
    const Payloads payloads(one.size);
    const bool in_order = one.producers == 1 && one.consumers == 1;
    Stage::Account& account = stage.accounts[one.producers + index];
    Nanoseconds now = stage.start();
    const Nanoseconds warm = now + nanoseconds(one.seconds * 0.2);
    std::uint64_t received = 0;
    std::uint64_t received_warm = 0;
    double cpu_before = 0;
    for (Stride stride;; ++received) {
        receiver.receive(into);
        if (first_word(into) == end_mark) [[unlikely]]
            break;
        if (in_order && !payloads.is(into, received)) [[unlikely]]
            die("message " + std::to_string(received) + " is missing");
        if (account.begun == 0 && stride.due(received, now) && now >= warm) [[unlikely]] {
            account.begun = now;
            received_warm = received;
            cpu_before = cpu_seconds();
        }
    }
    if (account.begun == 0) account.begun = stage.begun;  // so few that none came after the warm-up
    account.messages = received - received_warm;
    account.ended = monotonic_now();
    account.cpu_seconds = cpu_seconds() - cpu_before;
    stage.leave();
}

template <Transport Peer>
void throughput(const Case& one) {
    Peer peer(one);
    std::vector<Role> roles;
    for (unsigned i = 0; i < one.producers; ++i)
        roles.push_back({0, [&, i](Stage& stage) { produce(peer, one, i, stage); }});
    for (unsigned i = 0; i < one.consumers; ++i)
        roles.push_back({1, [&, i](Stage& stage) { consume(peer, one, i, stage); }});
    print_throughput(one, play(roles, terms(one)));
}

// ---- Latency -----------------------------------------------------------------------------------

// Passes back what comes until the end mark does.
template <Transport Peer>
void echo(Peer& peer, const Case& one, Stage& stage) {
    typename Peer::Receiver receiver(peer, {.lane = 0, .index = 0});
    typename Peer::Sender sender(peer, {.lane = 1, .index = 0});
    std::vector<std::byte> bytes(one.size);
    stage.start();
    for (;;) {
        receiver.receive(bytes);
        if (first_word(bytes) == end_mark) break;
        sender.send(bytes);
        sender.flush();
    }
    stage.leave();
}

// The first half of the time in bursts, so that the clock, read once a burst, does not count in the
// median; the second half one by one, for the percentiles.
constexpr unsigned burst = 16;

template <Transport Peer>
void call(Peer& peer, const Case& one, Stage& stage) {
    typename Peer::Sender sender(peer, {.lane = 0, .index = 0});
    typename Peer::Receiver receiver(peer, {.lane = 1, .index = 0});
    std::vector<std::byte> bytes(one.size);
    std::vector<std::byte> answer(one.size);
    std::uint64_t number = 0;
    const auto round_trip = [&] {
        set_first_word(bytes, number);
        sender.send(bytes);
        sender.flush();
        receiver.receive(answer);
        if (first_word(answer) != number++) [[unlikely]]
            die("the answer is another message");
    };
    const auto trips = [&](unsigned length, Histogram& times, double seconds) {
        const auto all = static_cast<std::uint64_t>(seconds * 1e9 / stage.nanoseconds_per_tick);
        const std::uint64_t end = ticks() + all;
        for (std::uint64_t before = ticks(); before < end;) {
            for (unsigned i = 0; i < length; ++i)
                round_trip();
            const std::uint64_t now = ticks();
            times.add(now - before);
            before = now;
        }
    };
    stage.start();
    Histogram unused;
    trips(1, unused, one.seconds * 0.2);
    trips(burst, stage.times, one.seconds / 2);
    trips(1, stage.more_times, one.seconds / 2);
    set_first_word(bytes, end_mark);
    sender.send(bytes);
    sender.flush();
    stage.leave();
}

template <Transport Peer>
void latency(const Case& one) {
    Peer peer(one);
    const Role roles[] = {{0, [&](Stage& stage) { call(peer, one, stage); }},
                          {1, [&](Stage& stage) { echo(peer, one, stage); }}};
    print_times(play(roles, terms(one)), 2 * burst, 2);
}

// ---- Wake-up -----------------------------------------------------------------------------------

// One side of the dialogue. What is sent is the time at which it was sent.
template <Transport Peer>
void wake_role(Peer& peer, const Case& one, bool first, Stage& stage) {
    typename Peer::Sender sender(peer, {.lane = first ? 0u : 1u, .index = 0});
    typename Peer::Receiver receiver(peer, {.lane = first ? 1u : 0u, .index = 0});
    std::vector<std::byte> bytes(one.size);
    Histogram& times = first ? stage.times : stage.more_times;
    const auto idle = static_cast<std::uint64_t>(one.idle_us * 1000.0 / stage.nanoseconds_per_tick);
    const Nanoseconds end = stage.start() + nanoseconds(one.seconds);
    for (bool mine = first;; mine = !mine) {
        if (mine) {
            for (const std::uint64_t until = ticks() + idle; ticks() < until;)
                breathe();
            const bool over = monotonic_now() > end;
            set_first_word(bytes, over ? end_mark : ticks());
            sender.send(bytes);
            sender.flush();
            if (over) break;
        } else {
            receiver.receive(bytes);
            const std::uint64_t now = ticks();
            if (first_word(bytes) == end_mark) break;
            times.add(now - first_word(bytes));
        }
    }
    stage.leave();
}

template <Transport Peer>
void wake(const Case& one) {
    Peer peer(one);
    const Role roles[] = {{0, [&](Stage& stage) { wake_role(peer, one, true, stage); }},
                          {1, [&](Stage& stage) { wake_role(peer, one, false, stage); }}};
    print_times(play(roles, terms(one)), 1, 1);
}

// ---- Open loop ---------------------------------------------------------------------------------

// More values a second than this and the clock would be what is measured.
constexpr double looks_most = 2e6;

inline std::uint64_t look_every(const Case& one) {
    return static_cast<std::uint64_t>(std::max(1.0, one.rate / looks_most));
}

template <Transport Peer>
void open_loop_sender(Peer& peer, const Case& one, Stage& stage) {
    typename Peer::Sender sender(peer, {.lane = 0, .index = 0});
    std::vector<std::byte> bytes(one.size);
    const double interval = 1e9 / stage.nanoseconds_per_tick / one.rate;
    const auto all = static_cast<std::uint64_t>(one.rate * one.seconds * 1.2);
    stage.accounts[0].begun = stage.start();
    const std::uint64_t start = ticks();
    std::uint64_t due = start;
    for (std::uint64_t number = 0; number < all; ++number) {
        due = start + static_cast<std::uint64_t>(static_cast<double>(number) * interval);
        while (ticks() < due) {
        }
        set_first_word(bytes, due);
        sender.send(bytes);
        sender.flush();
    }
    set_first_word(bytes, end_mark);
    sender.send(bytes);
    sender.flush();
    stage.accounts[0].messages = all;
    stage.accounts[0].ended = monotonic_now();
    stage.leave();
}

template <Transport Peer>
void open_loop_receiver(Peer& peer, const Case& one, Stage& stage) {
    typename Peer::Receiver receiver(peer, {.lane = 0, .index = 0});
    std::vector<std::byte> bytes(one.size);
    const std::uint64_t every = look_every(one);
    const auto warm = static_cast<std::uint64_t>(one.rate * one.seconds * 0.2);
    stage.start();
    for (std::uint64_t number = 0;; ++number) {
        receiver.receive(bytes);
        const std::uint64_t due = first_word(bytes);
        if (due == end_mark) break;
        if (number % every != 0 || number < warm) continue;
        const std::uint64_t now = ticks();
        stage.times.add(now > due ? now - due : 0);
    }
    stage.leave();
}

template <Transport Peer>
void open_loop(const Case& one) {
    Peer peer(one);
    const Role roles[] = {{0, [&](Stage& stage) { open_loop_sender(peer, one, stage); }},
                          {1, [&](Stage& stage) { open_loop_receiver(peer, one, stage); }}};
    print_times(play(roles, terms(one)), 1, 1);
}

template <Transport Peer>
int run_peer(int count, char** arguments) {
    const Case one = parse_case(count, arguments);
    if (one.work == "throughput")
        throughput<Peer>(one);
    else if (one.work == "latency")
        latency<Peer>(one);
    else if (one.work == "wake")
        wake<Peer>(one);
    else if (one.work == "open_loop")
        open_loop<Peer>(one);
    else
        die("no such work: " + one.work);
    return 0;
}

}  // namespace shmq::bench

#include "peers/works.hpp"

#include <unistd.h>

#include <charconv>
#include <string_view>

namespace shmq::bench {
namespace {

double number(std::string_view text) {
    double value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value).ptr;
    if (text.empty() || end != text.data() + text.size()) die("no number: " + std::string(text));
    return value;
}

unsigned count_of(std::string_view text) {
    return static_cast<unsigned>(number(text));
}

void set(Case& one, std::string_view name, std::string_view value) {
    if (name == "work")
        one.work = value;
    else if (name == "size")
        one.size = count_of(value);
    else if (name == "producers")
        one.producers = count_of(value);
    else if (name == "consumers")
        one.consumers = count_of(value);
    else if (name == "spin")
        one.spin = count_of(value) != 0;
    else if (name == "touch")
        one.touch = count_of(value) != 0;
    else if (name == "variant")
        one.variant = value;
    else if (name == "server")
        one.server = value;
    else if (name == "directory")
        one.directory = value;
    else if (name == "seconds")
        one.seconds = number(value);
    else if (name == "rate")
        one.rate = number(value);
    else if (name == "idle_us")
        one.idle_us = count_of(value);
    else if (name == "window")
        one.window = count_of(value);
    else if (name == "pinned")
        one.pinned = count_of(value) != 0;
    else if (name == "real_time")
        one.real_time = count_of(value) != 0;
    else
        die("no such option: " + std::string(name));
}

double per_second(std::uint64_t messages, Nanoseconds begun, Nanoseconds ended) {
    return ended > begun ? static_cast<double>(messages) * 1e9 / static_cast<double>(ended - begun)
                         : 0;
}

void print_percentiles(const char* name, const Histogram& times, double nanoseconds) {
    const auto at = [&](double share) {
        return static_cast<double>(times.at(share)) * nanoseconds;
    };
    std::printf(
        ", \"%s\": {\"values\": %llu, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, "
        "\"p99.9\": %.2f, \"p99.99\": %.2f, \"max\": %.2f}",
        name, static_cast<unsigned long long>(times.total()), at(0.5), at(0.9), at(0.99), at(0.999),
        at(0.9999), static_cast<double>(times.most()) * nanoseconds);
}

}  // namespace

std::string own_name(const char* what, unsigned lane) {
    return std::string("shmq-bench-") + what + "-" + std::to_string(::getpid()) + "-" +
           std::to_string(lane);
}

Case parse_case(int count, char** arguments) {
    Case one;
    for (int i = 1; i < count; ++i) {
        const std::string_view argument = arguments[i];
        const auto equals = argument.find('=');
        if (equals == argument.npos) die("options are NAME=VALUE: " + std::string(argument));
        set(one, argument.substr(0, equals), argument.substr(equals + 1));
    }
    if (one.size < sizeof(std::uint64_t) || one.producers < 1 || one.consumers < 1 ||
        one.producers + one.consumers > roles_most || one.seconds <= 0)
        die("out of bounds");
    if (one.work == "open_loop" && one.rate <= 0) die("open_loop wants a rate");
    return one;
}

void print_throughput(const Case& one, const Stage& stage) {
    double producers_cpu = 0;
    double consumers_cpu = 0;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    Nanoseconds begun = no_deadline;
    Nanoseconds ended = 0;
    for (unsigned i = 0; i < one.producers + one.consumers; ++i) {
        const Stage::Account& account = stage.accounts[i];
        if (i < one.producers) {
            producers_cpu += account.cpu_seconds;
            sent += account.messages;
        } else if (account.begun != 0) {
            consumers_cpu += account.cpu_seconds;
            received += account.messages;
            begun = std::min(begun, account.begun);
            ended = std::max(ended, account.ended);
        }
    }
    if (received == 0) die("nothing arrived after the warm-up: more seconds are needed");
    const double cpu =
        producers_cpu / static_cast<double>(sent) + consumers_cpu / static_cast<double>(received);
    std::printf("{\"per_second\": %.3f, \"messages\": %llu, \"cpu_ns_per_message\": %.2f}\n",
                per_second(received, begun, ended), static_cast<unsigned long long>(received),
                cpu * 1e9);
}

void print_times(const Stage& stage, double per_value, double per_more_value) {
    const Stage::Account& sender = stage.accounts[0];
    std::printf("{\"held_rate\": %.3f", per_second(sender.messages, sender.begun, sender.ended));
    print_percentiles("times", stage.times, stage.nanoseconds_per_tick / per_value);
    if (stage.more_times.total() > 0)
        print_percentiles("more_times", stage.more_times,
                          stage.nanoseconds_per_tick / per_more_value);
    std::printf("}\n");
}

}  // namespace shmq::bench

#include "wire/control.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/limits.hpp"
#include "base/version.hpp"

namespace shmq::wire {
namespace {

Options every_option() {
    Options options;
    options.capacity = 128;
    options.slot_size = 256;
    options.max_message = 4096;
    options.pool = UINT64_C(1) << 33;
    options.overflow = Overflow::drop_oldest;
    options.spill_limit = UINT64_C(1) << 40;
    options.when_full = WhenFull::reject;
    options.durability = Durability::durable;
    options.lease_ns = 5'000'000'000;
    options.in_flight = 7;
    options.mode = 0750;
    options.group = 0;
    options.exclusive_producer = true;
    options.exclusive_consumer = false;
    options.exact_timestamps = true;
    options.max_deliveries = 0;
    options.dead_letter = "";
    options.retry_delay_ns = 1'000'000;
    options.retry_delay_max_ns = 1'000'000'000;
    options.pause_stopped = true;
    return options;
}

Queue every_field() {
    Queue queue;
    queue.name = "a/b";
    queue.identity = "00112233445566778899aabbccddeeff";
    queue.options = every_option();
    queue.owner = 1000;
    queue.group = 1001;
    queue.quarantined = true;
    std::uint64_t next = 1;
    for (std::uint64_t Queue::*field : {&Queue::ready,
                                        &Queue::leased,
                                        &Queue::returned,
                                        &Queue::sent,
                                        &Queue::sent_bytes,
                                        &Queue::delivered,
                                        &Queue::acked,
                                        &Queue::redelivered,
                                        &Queue::dropped,
                                        &Queue::dropped_oldest,
                                        &Queue::dropped_rejected,
                                        &Queue::dropped_damaged,
                                        &Queue::purged,
                                        &Queue::expired,
                                        &Queue::reclaimed,
                                        &Queue::memory_bytes,
                                        &Queue::delayed,
                                        &Queue::held,
                                        &Queue::dropped_failed,
                                        &Queue::dead_rejected,
                                        &Queue::dead_expired,
                                        &Queue::dead_crashed,
                                        &Queue::dead_limit,
                                        &Queue::moved_in,
                                        &Queue::redriven,
                                        &Queue::spilled,
                                        &Queue::spilled_bytes,
                                        &Queue::journal_bytes,
                                        &Queue::syncs,
                                        &Queue::logged,
                                        &Queue::durable}) {
        queue.*field = next++;
    }
    queue.alarm = "look here";
    queue.gate = GateState::closing;
    queue.journal = JournalState::no_room;
    queue.producers = 21;
    queue.consumers = 22;
    return queue;
}

std::string complaint(const Failure& failure) {
    EXPECT_EQ(failure.error, error::invalid_parameter);
    return failure.parameters["parameter"].get<std::string>();
}

TEST(WireOptions, ComeBackAsTheyWent) {
    const auto parsed = options_from_json(Json::parse(to_json(every_option()).dump()));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, every_option());
}

TEST(WireOptions, WhatIsNotSaidDoesNotTravel) {
    EXPECT_EQ(to_json(Options{}), Json::object());
    const auto parsed = options_from_json(Json::object());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, Options{});
}

TEST(WireOptions, EveryMemberIsStrict) {
    const Json good = to_json(every_option());
    ASSERT_EQ(good.size(), 20u);
    for (const auto& [name, value] : good.items()) {
        Json bad = good;
        bad[name] = Json::array();
        const auto parsed = options_from_json(bad);
        ASSERT_FALSE(parsed) << name;
        EXPECT_EQ(complaint(parsed.error()), "options." + name);
    }
    Json unknown = good;
    unknown["capacities"] = 1;
    const auto refused = options_from_json(unknown);
    ASSERT_FALSE(refused);
    EXPECT_EQ(complaint(refused.error()), "options.capacities");
    EXPECT_TRUE(options_from_json(unknown, "options", Unknown::ignore));
}

TEST(WireOptions, OverflowIsOneOfItsNames) {
    for (const Overflow overflow :
         {Overflow::block, Overflow::reject, Overflow::drop_oldest, Overflow::spill}) {
        const auto parsed = options_from_json({{"overflow", overflow_token(overflow)}});
        ASSERT_TRUE(parsed);
        EXPECT_EQ(parsed->overflow, overflow);
    }
    EXPECT_FALSE(options_from_json({{"overflow", "explode"}}));
    EXPECT_FALSE(options_from_json({{"overflow", 1}}));
}

TEST(WireOptions, WhichQueuesHaveAJournal) {
    EXPECT_FALSE(Options{}.journal());
    Options said;
    said.overflow = Overflow::block;
    said.durability = Durability::accepted;
    EXPECT_FALSE(said.journal());
    said.overflow = Overflow::spill;
    EXPECT_TRUE(said.journal());
    for (const Durability durability : {Durability::logged, Durability::durable}) {
        Options promises;
        promises.durability = durability;
        EXPECT_TRUE(promises.journal());
    }
}

TEST(WireQueue, ComesBackAsItWent) {
    const auto parsed = queue_from_json(Json::parse(to_json(every_field()).dump()));
    ASSERT_TRUE(parsed) << parsed.error().parameters;
    EXPECT_EQ(*parsed, every_field());
}

TEST(WireQueue, EveryMemberIsRequiredAndStrict) {
    const Json good = to_json(every_field());
    for (const auto& [name, value] : good.items()) {
        Json missing = good;
        missing.erase(name);
        const auto without = queue_from_json(missing);
        ASSERT_FALSE(without) << name;
        EXPECT_EQ(complaint(without.error()), "queue." + name);
        Json wrong = good;
        wrong[name] = Json::array();
        EXPECT_FALSE(queue_from_json(wrong)) << name;
    }
    Json unknown = good;
    unknown["colour"] = "red";
    EXPECT_FALSE(queue_from_json(unknown));
    EXPECT_TRUE(queue_from_json(unknown, "queue", Unknown::ignore));
}

Pending every_pending() {
    return {.sequence = 1,
            .state = PendingState::delayed,
            .participant = 2,
            .pid = 3,
            .uid = 4,
            .executable = "/bin/x",
            .age_ns = 5,
            .lease_left_ns = 6,
            .due_in_ns = 7,
            .deliveries = 8,
            .failures = 9,
            .size = 10};
}

TEST(WirePending, ComesBackAsItWent) {
    const auto parsed = pending_from_json(Json::parse(to_json(every_pending()).dump()));
    ASSERT_TRUE(parsed) << parsed.error().parameters;
    EXPECT_EQ(*parsed, every_pending());
}

TEST(WirePending, EveryMemberIsStrictAndAllButTheTimesAreRequired) {
    const Json good = to_json(every_pending());
    for (const auto& [name, value] : good.items()) {
        Json missing = good;
        missing.erase(name);
        const bool optional = name == "lease_left" || name == "due_in";
        EXPECT_EQ(pending_from_json(missing).has_value(), optional) << name;
        Json wrong = good;
        wrong[name] = Json::array();
        EXPECT_FALSE(pending_from_json(wrong)) << name;
    }
}

TEST(WireNames, GoodOnesPass) {
    for (const std::string& name :
         {std::string("a"), std::string("A.b_c-9"), std::string("a/b/c"), std::string("..."),
          std::string(".hidden"), std::string("-"), std::string(limits::name_max_bytes, 'x')}) {
        EXPECT_EQ(check_name(name), "") << name;
    }
}

TEST(WireNames, BadOnesAreToldWhy) {
    using namespace std::string_literals;
    for (const std::string& name :
         {""s, "/"s, "/a"s, "a/"s, "a//b"s, "."s, ".."s, "../a"s, "a/.."s, "a/./b"s, "a b"s, "a\n"s,
          "a\0b"s, "\xc3\xa4"s, "a\x7f"s, "a*"s, "a'b"s, "a\\b"s,
          std::string(limits::name_max_bytes + 1, 'x')}) {
        EXPECT_NE(check_name(name), "") << name;
    }
}

TEST(WireVersions, AgreeBySameMajorAndBeforeOneBySameMinor) {
    EXPECT_TRUE(versions_agree("0.1.0", "0.1.9"));
    EXPECT_FALSE(versions_agree("0.1.0", "0.2.0"));
    EXPECT_TRUE(versions_agree("1.1.0", "1.9.3"));
    EXPECT_FALSE(versions_agree("1.0.0", "2.0.0"));
    EXPECT_TRUE(versions_agree(version_text(), version_text()));
    for (const char* odd :
         {"", "0", "0.1", "0.1.", "0.1.0.0", "0.1.x", "-0.1.0", "0..1", " 0.1.0"}) {
        EXPECT_FALSE(versions_agree("0.1.0", odd)) << odd;
    }
}

TEST(WireErrors, RepeatWhatThePeerSaidAtNoGreatLength) {
    const std::string endless(limits::frame_max_bytes, 'x');
    for (const Failure& failure :
         {queue_not_found(endless), invalid_name(endless, "long"), invalid_parameter(endless, "no"),
          method_not_found(endless), version_mismatch("0.1.0", endless)}) {
        EXPECT_LT(failure_text(failure).size(), 1000u) << failure.error;
    }
}

TEST(WireErrors, SayWhatTheSystemSaid) {
    const Failure failure = system_error("create a memfd", ENOMEM);
    EXPECT_EQ(failure.parameters["errno"], ENOMEM);
    EXPECT_EQ(failure.parameters["reason"], "Cannot allocate memory");
}

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << path;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

TEST(WireInterface, IsWordForWordThatOfItsPage) {
    const std::string page = read_file(SHMQ_SOURCE_DIR "/docs/control_protocol.md");
    EXPECT_NE(page.find("```\n" + std::string(interface_description) + "```"), std::string::npos);
}

TEST(WireInterface, HasEveryMethodAndError) {
    for (const std::string_view name :
         {method::hello, method::create, method::describe, method::list, method::remove,
          method::purge, method::status, method::attach, method::detach, method::pending,
          method::settle, method::release}) {
        const std::string wanted = "method " + std::string(name.substr(interface_name.size() + 1));
        EXPECT_NE(interface_description.find(wanted + "("), std::string_view::npos) << name;
    }
    for (const std::string_view name :
         {error::queue_not_found, error::queue_exists, error::queue_in_use,
          error::permission_denied, error::role_taken, error::invalid_name,
          error::invalid_parameter, error::quota_exceeded, error::version_mismatch,
          error::hello_expected, error::quarantined, error::system_error}) {
        const std::string wanted = "error " + std::string(name.substr(interface_name.size() + 1));
        EXPECT_NE(interface_description.find(wanted + " ("), std::string_view::npos) << name;
    }
}

TEST(WireInterface, HasEveryMemberThatTravels) {
    const Json queue = to_json(every_field());
    for (const auto& [name, value] : queue.items()) {
        EXPECT_NE(interface_description.find(name + ": "), std::string_view::npos) << name;
    }
    const Json options = to_json(every_option());
    for (const auto& [name, value] : options.items()) {
        EXPECT_NE(interface_description.find(name + ": ?"), std::string_view::npos) << name;
    }
}

}  // namespace
}  // namespace shmq::wire

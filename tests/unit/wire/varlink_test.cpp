#include "wire/varlink.hpp"

#include <gtest/gtest.h>

#include <string>

#include "wire/control.hpp"

namespace shmq::wire {
namespace {

TEST(Varlink, ACallComesBackAsItWent) {
    Call call{"io.shmq.Control.Describe", {{"name", "jobs"}}};
    call.oneway = true;
    const auto parsed = parse_call(call_text(call));
    ASSERT_TRUE(parsed) << parsed.error();
    EXPECT_EQ(parsed->method, call.method);
    EXPECT_EQ(parsed->parameters, call.parameters);
    EXPECT_TRUE(parsed->oneway);
    EXPECT_FALSE(parsed->more);
    EXPECT_FALSE(parsed->upgrade);
}

TEST(Varlink, MoreAndUpgradeAreSeen) {
    const auto parsed = parse_call(R"({"method":"a.B","more":true,"upgrade":true})");
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->more);
    EXPECT_TRUE(parsed->upgrade);
    EXPECT_FALSE(parsed->oneway);
}

TEST(Varlink, ACallWithoutParametersHasNone) {
    for (const char* text : {R"({"method":"a.B"})", R"({"method":"a.B","parameters":null})"}) {
        const auto parsed = parse_call(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(parsed->parameters, Json::object()) << text;
    }
}

TEST(Varlink, WhatIsNoCallIsRefusedWithAReason) {
    const std::string deep = R"({"method":"a.B","parameters":)" + std::string(100'000, '[');
    for (const std::string& text :
         {std::string("garbage"), std::string("["), std::string("[]"), std::string("7"),
          std::string("\"text\""), std::string("{}"), std::string(R"({"method":7})"),
          std::string(R"({"method":"a.B"} x)"), std::string(R"({"method":"a.B")"),
          std::string("{\"method\":\"\xff\xfe\"}"), std::string(R"({"method":"a.B","x":1e999})"),
          deep, deep + std::string(100'000, ']') + "}"}) {
        const auto parsed = parse_call(text);
        ASSERT_FALSE(parsed) << text.substr(0, 50);
        EXPECT_FALSE(parsed.error().empty());
    }
}

TEST(Varlink, AnswersAndErrorsComeBackAsTheyWent) {
    const auto answer = parse_answer(answer_text({{"purged", 3}}));
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->error.empty());
    EXPECT_EQ(answer->parameters, (Json{{"purged", 3}}));

    const auto failure = parse_answer(failure_text(queue_not_found("jobs")));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->error, error::queue_not_found);
    EXPECT_EQ(failure->parameters, (Json{{"name", "jobs"}}));
}

TEST(Varlink, WhatIsNoAnswerIsRefused) {
    for (const char* text : {"{}", "[]", "x", R"({"error":7})", R"({"error":""})"}) {
        EXPECT_FALSE(parse_answer(text)) << text;
    }
}

TEST(Varlink, BytesThatAreNoTextAreReplacedAndNotThrown) {
    const auto parsed = parse_answer(failure_text(invalid_name("a\xff", "odd")));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->parameters["name"], "a\xef\xbf\xbd");
}

// ---- Members -----------------------------------------------------------------------------------

std::string complaint(const std::optional<Failure>& failure) {
    if (!failure) return "none";
    EXPECT_EQ(failure->error, error::invalid_parameter);
    return failure->parameters["parameter"].get<std::string>();
}

TEST(Members, ReadWhatIsThere) {
    const Json json = {{"text", "a"},  {"flag", true},        {"small", 65535},
                       {"signed", -1}, {"large", UINT64_MAX}, {"nothing", nullptr}};
    Members members(json);
    std::string text;
    bool flag = false;
    std::uint16_t small = 0;
    std::int32_t with_sign = 0;
    std::uint64_t large = 0;
    std::optional<std::uint32_t> nothing;
    EXPECT_TRUE(members.require("text", text));
    EXPECT_TRUE(members.require("flag", flag));
    EXPECT_TRUE(members.require("small", small));
    EXPECT_TRUE(members.require("signed", with_sign));
    EXPECT_TRUE(members.require("large", large));
    EXPECT_FALSE(members.take("nothing", nothing));
    EXPECT_EQ(complaint(members.finish()), "none");
    EXPECT_EQ(text, "a");
    EXPECT_TRUE(flag);
    EXPECT_EQ(small, 65535);
    EXPECT_EQ(with_sign, -1);
    EXPECT_EQ(large, UINT64_MAX);
    EXPECT_FALSE(nothing);
}

TEST(Members, NameTheMemberWithTheWrongType) {
    for (const Json& wrong : {Json("7"), Json(-1), Json(1.0), Json(4294967296), Json(true),
                              Json::array(), Json::object()}) {
        const Json json = {{"number", wrong}};
        Members members(json, "options");
        std::uint32_t number = 99;
        EXPECT_FALSE(members.take("number", number));
        EXPECT_EQ(complaint(members.finish()), "options.number") << wrong;
        EXPECT_EQ(number, 99u);
    }
    const Json json = {{"text", 7}, {"flag", 1}};
    std::string text;
    Members texts(json);
    EXPECT_FALSE(texts.take("text", text));
    EXPECT_EQ(complaint(texts.finish()), "text");
    bool flag = false;
    Members flags(json);
    EXPECT_FALSE(flags.take("flag", flag));
    EXPECT_EQ(complaint(flags.finish()), "flag");
}

TEST(Members, NameTheMissingAndTheUnknown) {
    const Json json = {{"capacty", 64}};
    std::uint64_t capacity = 0;
    Members missing(json);
    EXPECT_FALSE(missing.require("capacity", capacity));
    EXPECT_EQ(complaint(missing.finish(Unknown::ignore)), "capacity");
    Members unknown(json);
    EXPECT_FALSE(unknown.take("capacity", capacity));
    EXPECT_EQ(complaint(unknown.finish()), "capacty");
    Members ignored(json);
    EXPECT_EQ(complaint(ignored.finish(Unknown::ignore)), "none");
}

TEST(Members, KeepTheFirstComplaint) {
    const Json json = {{"a", "x"}, {"b", "x"}};
    std::uint32_t number = 0;
    Members members(json);
    members.take("a", number);
    members.take("b", number);
    members.refuse("c", "late");
    EXPECT_EQ(complaint(members.finish()), "a");
}

TEST(Members, OfWhatIsNoObjectAreAComplaint) {
    const Json json = Json::array({1});
    std::string name;
    Members top(json);
    EXPECT_FALSE(top.require("name", name));
    EXPECT_EQ(complaint(top.finish()), "parameters");
    EXPECT_EQ(complaint(Members(json, "options").finish()), "options");
}

TEST(Members, TokensAreReadByTheirIndex) {
    const Json json = {{"role", "consumer"}, {"odd", "butcher"}};
    Role role{};
    Members good(json);
    EXPECT_TRUE(require_role(good, "role", role));
    EXPECT_EQ(role, Role::consumer);
    Members odd(json);
    EXPECT_FALSE(require_role(odd, "odd", role));
    EXPECT_EQ(complaint(odd.finish()), "odd");
    Members absent(json);
    EXPECT_FALSE(require_role(absent, "none", role));
    EXPECT_EQ(complaint(absent.finish()), "none");
}

}  // namespace
}  // namespace shmq::wire

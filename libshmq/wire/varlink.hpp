// Varlink's messages as text and as values: calls, answers, errors, and the strict reading of their
// parameters. Nothing here knows a socket (channel.hpp) or our interface (control.hpp).
//
// What a peer sent is input: every function takes any bytes and answers with a value or a reason.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace shmq::wire {

using Json = nlohmann::json;

// An error as it travels: {"error": error, "parameters": {...}}.
struct Failure {
    std::string error;  // full name, as "io.shmq.Control.QueueNotFound"
    Json parameters = Json::object();
};

// What a verb gives: a value, or the error to send back.
template <typename T>
using Outcome = std::expected<T, Failure>;

struct Call {
    std::string method;
    Json parameters = Json::object();  // may be no object: Members says so
    bool oneway = false;
    bool more = false;
    bool upgrade = false;
};

// An empty `error` means success.
struct Answer {
    std::string error;
    Json parameters = Json::object();
};

// The text of one frame (without its NUL) as a call or an answer; else what is wrong with it, for
// the log. After that the session is worth closing: the peer does not speak our language.
std::expected<Call, std::string> parse_call(std::string_view text);
std::expected<Answer, std::string> parse_answer(std::string_view text);

// The text of a frame, without its NUL. Bytes that are no UTF-8 become U+FFFD.
std::string call_text(const Call& call);
// `continues`: more answers to the same call follow.
std::string answer_text(const Json& parameters, bool continues = false);
std::string failure_text(const Failure& failure);

// Whether members that nobody asked for are an error. Calls refuse them, so that a misspelt option
// is not silently the default; answers ignore them, so that a newer daemon may say more.
enum class Unknown { refuse, ignore };

// Reads the members of an object one by one and keeps the first thing that is wrong:
//
//     Members members(call.parameters);
//     members.require("name", name);
//     members.take("if_missing", if_missing);
//     if (auto failure = members.finish()) return std::unexpected(*failure);
//
// A null member counts as absent. Whatever is wrong becomes io.shmq.Control.InvalidParameter with
// the member's name, `path` in front ("options.capacity").
class Members {
  public:
    // REQUIRES: `object` outlives this.
    explicit Members(const Json& object, std::string_view path = {});

    // Each returns whether the member was there and of the right type and range; `into` is only
    // written then.
    bool take(std::string_view name, std::string& into);
    bool take(std::string_view name, bool& into);
    bool take(std::string_view name, std::int32_t& into);
    bool take(std::string_view name, std::uint16_t& into);
    bool take(std::string_view name, std::uint32_t& into);
    bool take(std::string_view name, std::uint64_t& into);
    template <typename T>
    bool take(std::string_view name, std::optional<T>& into) {
        T value{};
        if (!take(name, value)) return false;
        into = std::move(value);
        return true;
    }
    // One of `tokens`, by index.
    bool take_token(std::string_view name, std::span<const std::string_view> tokens,
                    std::size_t& into);
    // The member as it is; null if absent.
    const Json* take_any(std::string_view name);

    // The same, and absence is wrong too.
    template <typename T>
    bool require(std::string_view name, T& into) {
        if (take(name, into)) return true;
        missing(name);
        return false;
    }
    const Json* require_any(std::string_view name) {
        const Json* member = take_any(name);
        if (member == nullptr) missing(name);
        return member;
    }

    // Notes something wrong with a member that the caller found itself.
    void refuse(std::string_view name, std::string reason);
    // The first thing that was wrong; with Unknown::refuse, also a member that nobody took.
    std::optional<Failure> finish(Unknown unknown = Unknown::refuse);

  private:
    const Json* find(std::string_view name);
    bool take_integer(std::string_view name, std::int64_t minimum, std::uint64_t maximum,
                      std::uint64_t& bits);
    void missing(std::string_view name);

    const Json& object_;
    std::string path_;
    std::vector<std::string> known_;
    std::optional<Failure> failure_;
};

}  // namespace shmq::wire

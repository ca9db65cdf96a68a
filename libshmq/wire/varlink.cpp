#include "wire/varlink.hpp"

#include <algorithm>
#include <limits>

#include "wire/control.hpp"

namespace shmq::wire {
namespace {

// Our deepest message has four levels. Anything much deeper only wants our memory.
constexpr int json_depth_max = 16;

std::expected<Json, std::string> parse_object(std::string_view text) {
    bool too_deep = false;
    const auto bound_depth = [&too_deep](int depth, Json::parse_event_t, Json&) {
        if (depth > json_depth_max) too_deep = true;
        return depth <= json_depth_max;
    };
    Json json = Json::parse(text.begin(), text.end(), bound_depth, /*allow_exceptions=*/false);
    if (too_deep) return std::unexpected("nested too deep");
    if (json.is_discarded()) return std::unexpected("not JSON");
    if (!json.is_object()) return std::unexpected("not a JSON object");
    return json;
}

// Moves "parameters" out of a message; absent and null are an empty object.
Json take_parameters(Json& message) {
    const auto found = message.find("parameters");
    if (found == message.end() || found->is_null()) return Json::object();
    return std::move(*found);
}

bool flag(const Json& message, const char* name) {
    const auto found = message.find(name);
    return found != message.end() && found->is_boolean() && found->get<bool>();
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::expected<Call, std::string> parse_call(std::string_view text) {
    auto message = parse_object(text);
    if (!message) return std::unexpected(std::move(message.error()));
    const auto method = message->find("method");
    if (method == message->end()) return std::unexpected("no method");
    if (!method->is_string()) return std::unexpected("method is no string");
    Call call;
    call.method = method->get<std::string>();
    call.oneway = flag(*message, "oneway");
    call.more = flag(*message, "more");
    call.upgrade = flag(*message, "upgrade");
    call.parameters = take_parameters(*message);
    return call;
}

std::expected<Answer, std::string> parse_answer(std::string_view text) {
    auto message = parse_object(text);
    if (!message) return std::unexpected(std::move(message.error()));
    Answer answer;
    if (const auto error = message->find("error"); error != message->end() && !error->is_null()) {
        if (!error->is_string()) return std::unexpected("error is no string");
        answer.error = error->get<std::string>();
        if (answer.error.empty()) return std::unexpected("error is empty");
    } else if (!message->contains("parameters")) {
        return std::unexpected("neither parameters nor error");
    }
    answer.parameters = take_parameters(*message);
    return answer;
}

std::string call_text(const Call& call) {
    Json message = {{"method", call.method}, {"parameters", call.parameters}};
    if (call.oneway) message["oneway"] = true;
    if (call.more) message["more"] = true;
    if (call.upgrade) message["upgrade"] = true;
    return dump(message);
}

std::string answer_text(const Json& parameters, bool continues) {
    Json message = {{"parameters", parameters}};
    if (continues) message["continues"] = true;
    return dump(message);
}

std::string failure_text(const Failure& failure) {
    return dump({{"error", failure.error}, {"parameters", failure.parameters}});
}

Members::Members(const Json& object, std::string_view path) : object_(object), path_(path) {
    if (object_.is_object()) return;
    failure_ = invalid_parameter(path_.empty() ? "parameters" : path_, "must be an object");
}

const Json* Members::find(std::string_view name) {
    known_.emplace_back(name);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Members::take(std::string_view name, std::string& into) {
    const Json* member = find(name);
    if (member == nullptr) return false;
    if (!member->is_string()) {
        refuse(name, "must be a string");
        return false;
    }
    into = member->get<std::string>();
    return true;
}

bool Members::take(std::string_view name, bool& into) {
    const Json* member = find(name);
    if (member == nullptr) return false;
    if (!member->is_boolean()) {
        refuse(name, "must be true or false");
        return false;
    }
    into = member->get<bool>();
    return true;
}

bool Members::take_integer(std::string_view name, std::int64_t minimum, std::uint64_t maximum,
                           std::uint64_t& bits) {
    const Json* member = find(name);
    if (member == nullptr) return false;
    if (!member->is_number_integer()) {
        refuse(name, "must be an integer");
        return false;
    }
    // A literal without a sign is stored unsigned, but what our own code builds may be either.
    const bool negative = !member->is_number_unsigned() && member->get<std::int64_t>() < 0;
    const bool fits =
        negative ? member->get<std::int64_t>() >= minimum : member->get<std::uint64_t>() <= maximum;
    if (!fits) {
        refuse(name,
               "must be between " + std::to_string(minimum) + " and " + std::to_string(maximum));
        return false;
    }
    bits = negative ? static_cast<std::uint64_t>(member->get<std::int64_t>())
                    : member->get<std::uint64_t>();
    return true;
}

bool Members::take(std::string_view name, std::int32_t& into) {
    using Limits = std::numeric_limits<std::int32_t>;
    std::uint64_t bits = 0;
    if (!take_integer(name, Limits::min(), Limits::max(), bits)) return false;
    into = static_cast<std::int32_t>(bits);
    return true;
}

bool Members::take(std::string_view name, std::uint16_t& into) {
    std::uint64_t bits = 0;
    if (!take_integer(name, 0, std::numeric_limits<std::uint16_t>::max(), bits)) return false;
    into = static_cast<std::uint16_t>(bits);
    return true;
}

bool Members::take(std::string_view name, std::uint32_t& into) {
    std::uint64_t bits = 0;
    if (!take_integer(name, 0, std::numeric_limits<std::uint32_t>::max(), bits)) return false;
    into = static_cast<std::uint32_t>(bits);
    return true;
}

bool Members::take(std::string_view name, std::uint64_t& into) {
    return take_integer(name, 0, std::numeric_limits<std::uint64_t>::max(), into);
}

bool Members::take_token(std::string_view name, std::span<const std::string_view> tokens,
                         std::size_t& into) {
    std::string text;
    if (!take(name, text)) return false;
    const auto found = std::find(tokens.begin(), tokens.end(), text);
    if (found == tokens.end()) {
        std::string reason = "must be one of";
        for (const std::string_view token : tokens)
            reason.append(" ").append(token);
        refuse(name, std::move(reason));
        return false;
    }
    into = static_cast<std::size_t>(found - tokens.begin());
    return true;
}

const Json* Members::take_any(std::string_view name) {
    return find(name);
}

void Members::refuse(std::string_view name, std::string reason) {
    if (failure_) return;
    const std::string full = path_.empty() ? std::string(name) : path_ + "." + std::string(name);
    failure_ = invalid_parameter(full, reason);
}

void Members::missing(std::string_view name) {
    refuse(name, "is missing");
}

std::optional<Failure> Members::finish(Unknown unknown) {
    if (failure_ || unknown == Unknown::ignore) return failure_;
    for (const auto& [name, value] : object_.items()) {
        if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
        refuse(name, "is not known; check its spelling");
        break;
    }
    return failure_;
}

}  // namespace shmq::wire

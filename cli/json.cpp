#include "cli/json.hpp"

#include <nlohmann/json.hpp>

namespace shmq::cli {

struct Json::Value {
    nlohmann::ordered_json json;
};

Json::Json(std::unique_ptr<Value> value) noexcept : value_(std::move(value)) {}
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json Json::object() {
    return Json(std::make_unique<Value>(Value{nlohmann::ordered_json::object()}));
}

Json Json::array() {
    return Json(std::make_unique<Value>(Value{nlohmann::ordered_json::array()}));
}

Json Json::text_value(std::string_view value) {
    return Json(std::make_unique<Value>(Value{nlohmann::ordered_json(std::string(value))}));
}

Json& Json::add(std::string_view name, std::string_view value) {
    value_->json[std::string(name)] = std::string(value);
    return *this;
}

Json& Json::add(std::string_view name, Json value) {
    value_->json[std::string(name)] = std::move(value.value_->json);
    return *this;
}

Json& Json::add_bool(std::string_view name, bool value) {
    value_->json[std::string(name)] = value;
    return *this;
}

Json& Json::add_unsigned(std::string_view name, std::uint64_t value) {
    value_->json[std::string(name)] = value;
    return *this;
}

Json& Json::add_signed(std::string_view name, std::int64_t value) {
    value_->json[std::string(name)] = value;
    return *this;
}

Json& Json::add_null(std::string_view name) {
    value_->json[std::string(name)] = nullptr;
    return *this;
}

void Json::push(Json element) {
    value_->json.push_back(std::move(element.value_->json));
}

std::string Json::text() const {
    return value_->json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
           "\n";
}

std::string text_member(std::string_view text, const char* name) {
    const auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return {};
    const auto member = object.find(name);
    return member != object.end() && member->is_string() ? member->get<std::string>()
                                                         : std::string();
}

std::uint64_t number_member(std::string_view text, const char* name) {
    const auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return 0;
    const auto member = object.find(name);
    return member != object.end() && member->is_number_unsigned() ? member->get<std::uint64_t>()
                                                                  : 0;
}

}  // namespace shmq::cli

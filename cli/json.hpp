// JSON to print: objects and arrays, members in the order they were added. The library behind it
// costs seconds a file to compile; only json.cpp pays.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace shmq::cli {

class Json {
  public:
    static Json object();
    static Json array();
    static Json text_value(std::string_view value);
    Json(Json&&) noexcept;
    Json& operator=(Json&&) noexcept;
    ~Json();

    // Bytes that are no UTF-8 are replaced when printed.
    Json& add(std::string_view name, std::string_view value);
    Json& add(std::string_view name, const char* value) {
        return add(name, std::string_view(value));
    }
    template <std::same_as<bool> Value>
    Json& add(std::string_view name, Value value) {
        return add_bool(name, value);
    }
    template <std::unsigned_integral Value>
    requires(!std::same_as<Value, bool>) Json& add(std::string_view name, Value value) {
        return add_unsigned(name, value);
    }
    template <std::signed_integral Value>
    Json& add(std::string_view name, Value value) {
        return add_signed(name, value);
    }
    Json& add(std::string_view name, Json value);
    Json& add_null(std::string_view name);
    void push(Json element);

    // Indented, with a newline behind.
    std::string text() const;

  private:
    struct Value;
    explicit Json(std::unique_ptr<Value> value) noexcept;
    Json& add_bool(std::string_view name, bool value);
    Json& add_unsigned(std::string_view name, std::uint64_t value);
    Json& add_signed(std::string_view name, std::int64_t value);

    std::unique_ptr<Value> value_;
};

// A member of the object in `text`; empty if it is none, or has no such member that is a string.
std::string text_member(std::string_view text, const char* name);
std::uint64_t number_member(std::string_view text, const char* name);  // 0: none

}  // namespace shmq::cli

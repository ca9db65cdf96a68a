// A variable of the environment for as long as a test needs it. No threads meanwhile.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace shmq {

class Variable {
  public:
    // nullopt: unset.
    Variable(const char* name, const std::optional<std::string>& value) : name_(name) {
        if (const char* before = std::getenv(name)) before_ = before;
        put(value);
    }
    ~Variable() { put(before_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

  private:
    void put(const std::optional<std::string>& value) {
        if (value) {
            ::setenv(name_, value->c_str(), 1);
        } else {
            ::unsetenv(name_);
        }
    }

    const char* name_;
    std::optional<std::string> before_;
};

}  // namespace shmq

#include "c/translate.hpp"

#include <optional>
#include <string>

#include <shmq/client.hpp>

namespace shmq::c {
namespace {

// The sentence is made when it is asked for: most failures are a queue that is empty or full.
struct LastError {
    std::optional<Error> error;
    std::optional<std::string> text;
};

thread_local LastError last;

}  // namespace

shmq_code fail(const Error& error) noexcept {
    last.text.reset();
    last.error.emplace(error);  // without its own words, where there is no memory for them
    return static_cast<shmq_code>(error.condition());
}

shmq_code fail_null(const char* what) noexcept {
    return guarded(
        [&] { return fail(Error(Condition::invalid_argument, std::string(what) + " is NULL")); });
}

}  // namespace shmq::c

using namespace shmq::c;

const char* shmq_code_name(shmq_code code) noexcept {
    if (code == SHMQ_OK) return "ok";
    return shmq::condition_name(static_cast<shmq::Condition>(code));
}

const char* shmq_error_message(void) noexcept {
    if (!last.error) return "";
    try {
        if (!last.text) last.text = last.error->message();
        return last.text->c_str();
    } catch (const std::bad_alloc&) {
        return shmq::condition_name(last.error->condition());
    }
}

shmq_code shmq_error_code(void) noexcept {
    return last.error ? static_cast<shmq_code>(last.error->condition()) : SHMQ_OK;
}

int shmq_error_number(void) noexcept {
    return last.error ? last.error->os_error() : 0;
}

const char* shmq_version(void) noexcept {
    return shmq::version();
}

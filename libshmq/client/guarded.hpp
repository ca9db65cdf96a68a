// The edge between code that may throw (allocation, JSON) and public calls, which never do.
#pragma once

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include <shmq/error.hpp>

namespace shmq {

// Runs `body`, which returns a Result; an exception becomes an Error of that Result.
template <typename Body>
auto guarded(Body&& body) noexcept -> decltype(std::forward<Body>(body)()) {
    try {
        return std::forward<Body>(body)();
    } catch (const std::bad_alloc&) {
        return Error(Condition::system_error, ENOMEM);
    } catch (const std::system_error& error) {
        return Error(Condition::system_error, error.code().value());
    } catch (...) {
        return Error(Condition::protocol_error);
    }
}

}  // namespace shmq

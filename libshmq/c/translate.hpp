// What every C entry shares: results become codes, codes leave a sentence behind, and no exception
// gets out. The C API decides nothing; it translates.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include <shmq/shmq.h>
#include <shmq/error.hpp>

namespace shmq::c {

// Remembers the error for this thread, and returns its code.
shmq_code fail(const Error& error) noexcept;
shmq_code fail_null(const char* what) noexcept;

template <typename T>
shmq_code code_of(const Result<T>& result) noexcept {
    return result ? SHMQ_OK : fail(result.error());
}

// What a C program has put into an enum: any number. In C++ merely reading another one than it
// names is undefined.
template <typename Enum>
unsigned number_of(const Enum& value) noexcept {
    unsigned number = 0;
    static_assert(sizeof number == sizeof value);
    std::memcpy(&number, &value, sizeof number);
    return number;
}

// Runs what may allocate.
template <typename Body>
shmq_code guarded(Body body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return fail(Error(Condition::system_error, ENOMEM));
    } catch (...) {
        return fail(Condition::system_error);
    }
}

// One call in its three forms, as the timeout says.
template <typename Now, typename Until, typename Forever>
auto with_timeout(std::int64_t timeout_ns, Now now, Until until, Forever forever) noexcept {
    if (timeout_ns < 0) return forever();
    if (timeout_ns == 0) return now();
    const auto start = std::chrono::steady_clock::now();
    const std::chrono::nanoseconds timeout(timeout_ns);
    if (start.time_since_epoch() > std::chrono::nanoseconds::max() - timeout) return forever();
    return until(start + timeout);
}

// Reads a structure that the caller filled, perhaps for another version of this library: what it
// has not is zero, and what it has beyond ours must be zero.
template <typename T>
Result<T> read_options(const T* from) noexcept {
    T options;
    std::memset(&options, 0, sizeof options);
    if (from == nullptr) return options;
    const std::size_t size = from->struct_size;
    if (size < sizeof from->struct_size || size > 4096) {
        return Error(Condition::invalid_argument,
                     "struct_size is not set: begin with the _INIT macro of the structure");
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(from);
    for (std::size_t index = sizeof options; index < size; ++index) {
        if (bytes[index] != 0) {
            return Error(Condition::invalid_argument,
                         "the structure has an option that this older libshmq does not know");
        }
    }
    std::memcpy(&options, from, size < sizeof options ? size : sizeof options);
    return options;
}

}  // namespace shmq::c

// Assertions, kept in release builds. The line between bug and bad input: SHMQ_CHECK is for what
// our own code must have made true; what another process or a user says is input, gets compared,
// and ends in an Error, never here.
#pragma once

namespace shmq {

// Prints expression, file and line to standard error and aborts.
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace shmq

#define SHMQ_CHECK(expression)                          \
    (__builtin_expect(static_cast<bool>(expression), 1) \
         ? static_cast<void>(0)                         \
         : ::shmq::check_failed(#expression, __FILE__, __LINE__))

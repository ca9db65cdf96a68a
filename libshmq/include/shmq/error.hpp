// Errors of libshmq. Hot calls (send, receive, ack and their like) return a Result and never throw;
// so do the set-up calls. Who prefers exceptions writes `value_or_throw(...)`.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(SHMQ_BUILDING_LIBRARY)
#define SHMQ_EXPORT __attribute__((visibility("default")))
#else
#define SHMQ_EXPORT
#endif

namespace shmq {

// What went wrong, for programs. Handle the first group where you call; the rest travels upwards.
enum class Condition : std::uint16_t {
    // Conditions of ordinary running.
    nothing = 1,          // no message there (try_receive gives an empty optional instead)
    timed_out = 2,        // the deadline came first
    full = 3,             // no room: try_send, or a queue that rejects on overflow
    stale = 4,            // the message is no longer ours: lease expired, given back, or acked
    in_flight_limit = 5,  // as many unacked messages held as allowed: ack some first
    queue_removed = 6,    // a manager removed the queue
    too_big = 7,          // larger than the queue's max_message
    interrupted = 8,      // stop_waiting() was called on the handle
    paused = 9,           // a manager has paused this side of the queue, and may resume it
    // Refusals.
    queue_not_found = 20,
    queue_exists = 21,  // with other options than asked for
    permission_denied = 22,
    role_taken = 23,        // another holds the exclusive role
    invalid_argument = 24,  // name, size or option out of bounds
    quota_exceeded = 25,
    queue_in_use = 26,  // remove without force: it has messages or users
    // Failures.
    no_daemon = 40,  // none answers, and none may or can be started
    protocol_error = 41,
    incompatible = 42,    // segment or daemon of another version
    corrupt = 43,         // shared memory holds what it must not
    forked = 44,          // handle of the parent used in a child of fork
    closed = 45,          // the handle was closed or moved from
    quarantined = 46,     // the queue was found damaged and is out of service
    system_error = 47,    // see os_error()
    journal_failed = 48,  // the disk failed: nothing more is confirmed
};

// The name of a condition as written above.
SHMQ_EXPORT const char* condition_name(Condition condition) noexcept;

// A condition with, where one is known, the queue, the peer, the limit and the remedy in text.
// Cheap to return: text is allocated only off the hot path.
class SHMQ_EXPORT Error {
  public:
    Error(Condition condition, int os_error = 0) noexcept
        : condition_(condition), os_error_(os_error) {}
    Error(Condition condition, std::string text, int os_error = 0);
    Error(const Error& other);
    Error& operator=(const Error& other);
    Error(Error&&) noexcept = default;
    Error& operator=(Error&&) noexcept = default;
    ~Error() = default;

    Condition condition() const noexcept { return condition_; }
    // errno of the system call that failed, or 0.
    int os_error() const noexcept { return os_error_; }
    // A sentence for people. Never empty.
    std::string message() const;

  private:
    Condition condition_;
    int os_error_;
    std::unique_ptr<std::string> text_;
};

// Thrown by value_or_throw only.
class SHMQ_EXPORT Exception : public std::runtime_error {
  public:
    explicit Exception(Error error);
    const Error& error() const noexcept { return error_; }

  private:
    Error error_;
};

// A value or an Error. `if (result) use(*result); else report(result.error());`
// REQUIRES: value access only when ok, error access only when not.
template <typename T>
class [[nodiscard]] Result {
  public:
    using value_type = T;

    Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : ok_(true) {
        new (&value_) T(std::move(value));
    }
    template <typename... Arguments>
    explicit Result(std::in_place_t, Arguments&&... arguments) : ok_(true) {
        new (&value_) T(std::forward<Arguments>(arguments)...);
    }
    Result(Error error) noexcept : ok_(false) { new (&error_) Error(std::move(error)); }
    Result(Condition condition) noexcept : ok_(false) { new (&error_) Error(condition); }
    Result(Result&& other) noexcept : ok_(other.ok_) { take(other); }
    Result& operator=(Result&& other) noexcept {
        if (this != &other) {
            drop();
            ok_ = other.ok_;
            take(other);
        }
        return *this;
    }
    ~Result() { drop(); }

    bool ok() const noexcept { return ok_; }
    explicit operator bool() const noexcept { return ok_; }
    T& value() & { return value_; }
    const T& value() const& { return value_; }
    T&& value() && { return std::move(value_); }
    T& operator*() & { return value_; }
    const T& operator*() const& { return value_; }
    T&& operator*() && { return std::move(value_); }
    T* operator->() { return &value_; }
    const T* operator->() const { return &value_; }
    const Error& error() const { return error_; }
    // The error's condition; Condition{} (no enumerator) when ok.
    Condition condition() const noexcept { return ok_ ? Condition{} : error_.condition(); }

  private:
    void take(Result& other) noexcept {
        if (ok_) {
            new (&value_) T(std::move(other.value_));
        } else {
            new (&error_) Error(std::move(other.error_));
        }
    }
    void drop() noexcept {
        if (ok_) {
            value_.~T();
        } else {
            error_.~Error();
        }
    }

    union {
        T value_;      // NOLINT(readability-identifier-naming): private, though the union hides it
        Error error_;  // NOLINT(readability-identifier-naming)
    };
    bool ok_;
};

// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(Error error) noexcept : error_(std::move(error)), ok_(false) {}
    Result(Condition condition) noexcept : error_(condition), ok_(false) {}

    bool ok() const noexcept { return ok_; }
    explicit operator bool() const noexcept { return ok_; }
    const Error& error() const { return error_; }
    Condition condition() const noexcept { return ok_ ? Condition{} : error_.condition(); }

  private:
    Error error_{Condition{}};
    bool ok_ = true;
};

template <typename T>
T value_or_throw(Result<T> result) {
    if (!result) throw Exception(result.error());
    return std::move(result).value();
}

inline void value_or_throw(Result<void> result) {
    if (!result) throw Exception(result.error());
}

}  // namespace shmq

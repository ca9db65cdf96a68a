// What is needed of shmq, or the program's end with the reason.
#pragma once

#include <shmq/error.hpp>
#include <utility>

#include "support/die.hpp"

namespace shmq::bench {

template <typename T>
T need(Result<T> result) {
    if (!result) [[unlikely]]
        die(result.error().message());
    return std::move(result).value();
}

inline void need_done(const Result<void>& result) {
    if (!result) [[unlikely]]
        die(result.error().message());
}

}  // namespace shmq::bench

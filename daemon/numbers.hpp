// Numbers that are given out and come back, from 1 on. The least that is free comes first, so that
// names made of them stay short.
#pragma once

#include <cstdint>
#include <set>

#include "base/check.hpp"

namespace shmq::daemon {

class Numbers {
  public:
    std::uint64_t take() {
        if (free_.empty()) return end_++;
        return free_.extract(free_.begin()).value();
    }
    // Somebody has it already.
    void reserve(std::uint64_t number) {
        free_.erase(number);
        for (; end_ <= number; ++end_) {
            if (end_ != number) free_.insert(end_);
        }
    }
    void give_back(std::uint64_t number) {
        const bool new_there = number != 0 && number < end_ && free_.insert(number).second;
        SHMQ_CHECK(new_there);
    }

  private:
    std::uint64_t end_ = 1;         // from here on nobody has had any
    std::set<std::uint64_t> free_;  // below
};

}  // namespace shmq::daemon

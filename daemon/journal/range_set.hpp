// A set of numbers kept as ranges: a backlog of millions of messages in a row is one entry.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

namespace shmq::journal {

class RangeSet {
  public:
    // From first to last, both included; REQUIRES: first <= last.
    void add(std::uint64_t first, std::uint64_t last);
    void remove(std::uint64_t first, std::uint64_t last);
    // Only what is in `other`, too.
    void keep_only(const RangeSet& other);

    bool contains(std::uint64_t number) const {
        const auto after = ranges_.upper_bound(number);
        return after != ranges_.begin() && std::prev(after)->second >= number;
    }
    bool empty() const { return ranges_.empty(); }
    std::uint64_t count() const { return count_; }
    // REQUIRES: not empty.
    std::uint64_t lowest() const { return ranges_.begin()->first; }
    std::uint64_t highest() const { return ranges_.rbegin()->second; }
    const std::map<std::uint64_t, std::uint64_t>& ranges() const { return ranges_; }

  private:
    std::map<std::uint64_t, std::uint64_t> ranges_;  // first to last; neither meeting nor touching
    std::uint64_t count_ = 0;
};

inline void RangeSet::remove(std::uint64_t first, std::uint64_t last) {
    auto at = ranges_.upper_bound(first);
    if (at != ranges_.begin() && std::prev(at)->second >= first) --at;
    while (at != ranges_.end() && at->first <= last) {
        const auto [begin, end] = *at;
        count_ -= end - begin + 1;
        at = ranges_.erase(at);
        if (begin < first) {
            ranges_.emplace(begin, first - 1);
            count_ += first - begin;
        }
        if (end > last) {
            ranges_.emplace(last + 1, end);
            count_ += end - last;
            return;
        }
    }
}

inline void RangeSet::add(std::uint64_t first, std::uint64_t last) {
    remove(first, last);
    count_ += last - first + 1;
    auto after = ranges_.upper_bound(first);
    if (after != ranges_.end() && last != UINT64_MAX && after->first == last + 1) {
        last = after->second;
        after = ranges_.erase(after);
    }
    if (after != ranges_.begin() && std::prev(after)->second + 1 == first) {
        std::prev(after)->second = last;
        return;
    }
    ranges_.emplace(first, last);
}

inline void RangeSet::keep_only(const RangeSet& other) {
    RangeSet common;
    auto mine = ranges_.begin();
    auto theirs = other.ranges_.begin();
    while (mine != ranges_.end() && theirs != other.ranges_.end()) {
        const std::uint64_t first = std::max(mine->first, theirs->first);
        const std::uint64_t last = std::min(mine->second, theirs->second);
        if (first <= last) common.add(first, last);
        mine->second < theirs->second ? static_cast<void>(++mine) : static_cast<void>(++theirs);
    }
    *this = std::move(common);
}

}  // namespace shmq::journal

// The check: ledgers against a fresh read of the input.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "input.hpp"
#include "ledger.hpp"

namespace demo {

struct Books {
    std::uint64_t lines = 0;        // of the input, read again
    std::uint64_t receipts = 0;     // in all ledgers
    std::uint64_t redelivered = 0;  // receipts with the mark
    std::uint64_t duplicated = 0;   // receipts beyond the first of a line
    std::uint64_t lost = 0;         // lines without a receipt
    std::uint64_t foreign = 0;      // receipts of what the input does not hold
    std::uint64_t unmarked = 0;     // duplicates without the mark

    // The findings one by one: each duplicate, and the first of whatever is wrong.
    std::vector<std::string> duplicates;
    std::vector<std::string> faults;

    // Every line at least once; counted once each, what came is what was sent; every duplicate
    // carried the mark.
    bool balanced() const { return lost == 0 && foreign == 0 && unmarked == 0 && lines != 0; }
};

// `ledgers`: the receipts of consumer 1, 2, ...
Books make_books(const Catalogue& input, std::span<const std::vector<Receipt>> ledgers);

}  // namespace demo

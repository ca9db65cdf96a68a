// For the examples only: each says what must have happened, and fails if it did not.
#pragma once

#include <cstdio>
#include <cstdlib>

inline void expect(bool happened, const char* what) {
    std::printf("%s %s\n", happened ? "ok   " : "NOT SO", what);
    if (!happened) std::exit(1);
}

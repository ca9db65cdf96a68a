#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace shmq {

void check_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "shmq: %s:%d: check failed: %s\n", file, line, expression);
    std::abort();
}

}  // namespace shmq

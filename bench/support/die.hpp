// The end of a bench's program, with the reason.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace shmq::bench {

[[noreturn]] inline void die(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::_Exit(1);
}

[[noreturn]] inline void die_of_errno(const char* what) {
    die(std::string(what) + ": " + std::strerror(errno));
}

}  // namespace shmq::bench

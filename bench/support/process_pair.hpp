// Two processes on two processors, started at the same instant: the stage of every bench here.
#pragma once

#include <functional>

namespace shmq::bench {

// Runs `first` and `second` each in a forked process pinned to CPU 0 and CPU 1 (to one CPU where
// there is no other). Each gets `go`, to be called when it is ready: it returns when both are.
// Returns the nanoseconds from then until the later one returned. Ends the program if one fails.
using Role = std::function<void(const std::function<void()>& go)>;
double run_pair_ns(const Role& first, const Role& second);

// Shared memory that both roles see; freed with the program.
void* shared_memory(unsigned long bytes);

}  // namespace shmq::bench

// The library's own threads: few, asleep nearly always, and none of the program's business.
#pragma once

namespace shmq {

// Starts a thread that never ends and takes no signal of the program's. It may run on any
// processor, and where the caller is a real-time thread one priority above it, if that is allowed:
// a thread like the caller would never run beside it, on the one processor that a spinning one is
// bound to. False: no thread is to be had.
bool start_background_thread(const char* name, void* (*run)(void*), void* argument) noexcept;

}  // namespace shmq

// A stack of its own, to be switched to and from: what a scheduled task runs on.
#pragma once

#include <cstddef>

namespace shmq::schedule {

// Switching saves callee-saved registers and the stack pointer, and makes no system call.
class Fiber {
  public:
    using Entry = void (*)(void*);

    // `entry(argument)` must never return. The stack may have been abandoned by another fiber.
    void start(std::byte* stack, std::size_t bytes, Entry entry, void* argument);
    // Goes on in `to` and comes back when somebody switches to `from`; never, if `for_good`.
    static void switch_between(Fiber& from, Fiber& to, bool for_good);

  private:
    static void enter();

    void* stack_pointer_ = nullptr;
    std::byte* stack_ = nullptr;  // null: the thread's own
    std::size_t stack_bytes_ = 0;
    Entry entry_ = nullptr;
    void* argument_ = nullptr;
    void* sanitizer_stack_ = nullptr;
};

}  // namespace shmq::schedule

#include "schedule/fiber.hpp"

#if !defined(__x86_64__)
#include <ucontext.h>

#include <memory>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
// A killed task's stack is abandoned with what it held on the heap: that is the point of it.
// Visible, for the sanitizer's own library calls it.
extern "C" [[gnu::visibility("default")]] const char* __asan_default_options() {
    return "detect_leaks=0";
}
#endif

namespace shmq::schedule {
namespace {

Fiber* entering = nullptr;
#if defined(__SANITIZE_ADDRESS__)
// The thread's own stack, learned at the first switch away from it.
const void* own_stack = nullptr;
std::size_t own_stack_bytes = 0;
#endif

// Whoever abandoned the stack left its red zones behind.
void clean_stack([[maybe_unused]] std::byte* stack, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack, bytes);
#endif
}

}  // namespace

#if defined(__x86_64__)

extern "C" void shmq_switch_stacks(void** save, void* load);
asm(R"(
    .text
    .p2align 4
    .type shmq_switch_stacks, @function
shmq_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size shmq_switch_stacks, .-shmq_switch_stacks
)");

void Fiber::start(std::byte* stack, std::size_t bytes, Entry entry, void* argument) {
    clean_stack(stack, bytes);
    stack_ = stack;
    stack_bytes_ = bytes;
    entry_ = entry;
    argument_ = argument;
    sanitizer_stack_ = nullptr;
    // Six registers, the address to return to, and one word that aligns the stack as a call does.
    auto** top = reinterpret_cast<void**>(stack + bytes) - 8;
    for (int word = 0; word < 8; ++word)
        top[word] = nullptr;
    top[6] = reinterpret_cast<void*>(&Fiber::enter);
    stack_pointer_ = top;
}

#else

extern "C" void shmq_switch_stacks(void** save, void* load) {
    auto* from = static_cast<ucontext_t*>(*save);
    ::swapcontext(from, static_cast<ucontext_t*>(load));
}

void Fiber::start(std::byte* stack, std::size_t bytes, Entry entry, void* argument) {
    clean_stack(stack, bytes);
    stack_ = stack;
    stack_bytes_ = bytes;
    entry_ = entry;
    argument_ = argument;
    sanitizer_stack_ = nullptr;
    auto* context = reinterpret_cast<ucontext_t*>(stack);  // its lowest bytes, never reached
    ::getcontext(context);
    context->uc_stack.ss_sp = stack + sizeof *context;
    context->uc_stack.ss_size = bytes - sizeof *context;
    context->uc_link = nullptr;
    ::makecontext(context, &Fiber::enter, 0);
    stack_pointer_ = context;
}

#endif

void Fiber::enter() {
    Fiber* self = entering;
#if defined(__SANITIZE_ADDRESS__)
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (own_stack == nullptr) {
        own_stack = bottom;
        own_stack_bytes = bytes;
    }
#endif
    self->entry_(self->argument_);
    __builtin_unreachable();
}

void Fiber::switch_between(Fiber& from, Fiber& to, bool for_good) {
    entering = &to;
#if !defined(__x86_64__)
    static thread_local ucontext_t own_context;
    if (from.stack_pointer_ == nullptr) from.stack_pointer_ = &own_context;
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from.sanitizer_stack_,
                                   to.stack_ != nullptr ? to.stack_ : own_stack,
                                   to.stack_ != nullptr ? to.stack_bytes_ : own_stack_bytes);
    shmq_switch_stacks(&from.stack_pointer_, to.stack_pointer_);
    __sanitizer_finish_switch_fiber(from.sanitizer_stack_, nullptr, nullptr);
#else
    static_cast<void>(for_good);
    shmq_switch_stacks(&from.stack_pointer_, to.stack_pointer_);
#endif
}

}  // namespace shmq::schedule

#include "step/subject.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#if !defined(__x86_64__)
#error "the step tests know the registers of x86-64 only"
#endif

namespace shmq::step {
namespace {

constexpr unsigned char system_call_code[2] = {0x0f, 0x05};

// A system call that the harness lets the subject make: it sets the registers and steps over it.
extern "C" void shmq_step_system_call();
asm(R"(
    .text
    .globl shmq_step_system_call
    .hidden shmq_step_system_call
    .type shmq_step_system_call, @function
shmq_step_system_call:
    syscall
    ud2
    .size shmq_step_system_call, . - shmq_step_system_call
)");

user_regs_struct registers_of(pid_t pid) {
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
    return registers;
}

void set_registers(pid_t pid, user_regs_struct registers) {
    registers.orig_rax = ~0ULL;  // no system call is to be begun again
    ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
}

// Harness and subject take turns, so one processor serves them better than two.
void stay_on_one_processor() {
    static const bool done = [] {
        cpu_set_t allowed;
        if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
        const int wanted = ::getpid() % CPU_COUNT(&allowed);
        int seen = 0;
        for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (!CPU_ISSET(cpu, &allowed) || seen++ != wanted) continue;
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            return ::sched_setaffinity(0, sizeof one, &one) == 0;
        }
        return false;
    }();
    static_cast<void>(done);
}

}  // namespace

Subject::Subject(Report& report, const std::function<void()>& body) : report_(&report), pid_(-1) {
    stay_on_one_processor();
    report.clear();
    pid_ = ::fork();
    if (pid_ < 0) give_up("fork");
    if (pid_ == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
        ::kill(::getpid(), SIGSTOP);
        report.enter(Report::at_work);
        body();
        report.enter(Report::ended);
        ::_exit(0);
    }
    wait_for_stop(0);
    if (::ptrace(PTRACE_SETOPTIONS, pid_, nullptr,
                 PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE) != 0) {
        give_up("PTRACE_SETOPTIONS");
    }
    while (report_->stage() == Report::waiting)
        step([] {});
}

Subject::~Subject() {
    kill();
}

Subject::Subject(Subject&& other) noexcept
    : report_(other.report_),
      pid_(std::exchange(other.pid_, -1)),
      address_(other.address_),
      called_system_(other.called_system_) {}

void Subject::give_up(const char* what) const {
    std::fprintf(stderr, "step: %s of process %d: %s\n", what, pid_, std::strerror(errno));
    std::abort();
}

// Until it stops with SIGTRAP (or SIGSTOP, at its start), `event` being the event, if any.
void Subject::wait_for_stop(int event) {
    int status = 0;
    if (::waitpid(pid_, &status, __WALL) != pid_) give_up("waitpid");
    if (!WIFSTOPPED(status)) give_up("unexpected end");
    if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
        std::fprintf(stderr, "step: signal %d at %s\n", WSTOPSIG(status), where().c_str());
        give_up("unexpected signal");
    }
    if (status >> 16 != event) give_up("unexpected event");
}

// A fork of ours has our code where we have it.
bool Subject::at_futex_wait() {
    called_system_ = address_ != 0 && std::memcmp(reinterpret_cast<const void*>(address_),
                                                  system_call_code, sizeof system_call_code) == 0;
    if (!called_system_) return false;
    const user_regs_struct registers = registers_of(pid_);
    return registers.rax == SYS_futex &&
           (static_cast<int>(registers.rsi) & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

bool Subject::in_clock() const {
    static const auto range = [] {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            if (line.find("[vdso]") == std::string::npos) continue;
            return std::pair(std::stoull(line, nullptr, 16),
                             std::stoull(line.substr(line.find('-') + 1), nullptr, 16));
        }
        return std::pair(0ULL, 0ULL);
    }();
    return address_ >= range.first && address_ < range.second;
}

bool Subject::asleep() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
    std::string line;
    std::getline(file, line);
    const auto name_end = line.rfind(')');
    return name_end != std::string::npos && line.substr(name_end + 2, 1) == "S";
}

bool Subject::step(const std::function<void()>& while_asleep) {
    const bool sleeps = at_futex_wait();
    if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) give_up("PTRACE_SINGLESTEP");
    if (sleeps) {
        // Either it sleeps, or the kernel saw that the word had moved and the step is over.
        for (siginfo_t stopped{};;) {
            if (asleep()) {
                while_asleep();
                break;
            }
            if (::waitid(P_PID, static_cast<id_t>(pid_), &stopped,
                         WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0 &&
                stopped.si_pid == pid_) {
                break;
            }
            ::sched_yield();
        }
    }
    wait_for_stop(0);
    address_ = static_cast<std::uint64_t>(
        ::ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
    return report_->stage() != Report::ended;
}

Subject Subject::copy() {
    const user_regs_struct saved = registers_of(pid_);
    user_regs_struct call = saved;
    call.rip = reinterpret_cast<std::uint64_t>(&shmq_step_system_call);
    call.rax = SYS_clone;
    call.rdi = CLONE_PARENT | SIGCHLD;  // a child of ours, so that we are told of its end
    call.rsi = call.rdx = call.r10 = call.r8 = 0;
    set_registers(pid_, call);
    ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    wait_for_stop(PTRACE_EVENT_FORK);
    unsigned long made = 0;
    if (::ptrace(PTRACE_GETEVENTMSG, pid_, nullptr, &made) != 0) give_up("PTRACE_GETEVENTMSG");
    Subject copied(*report_, static_cast<pid_t>(made));
    copied.wait_for_stop(0);
    set_registers(copied.pid_, saved);
    copied.address_ = address_;
    ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    wait_for_stop(0);
    set_registers(pid_, saved);
    return copied;
}

void Subject::run_to_end(const std::function<void()>& while_slow) {
    constexpr int looks_before_slow = 200;
    if (::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) give_up("PTRACE_CONT");
    for (int looks = 0;; ++looks) {
        int status = 0;
        const pid_t ended = ::waitpid(pid_, &status, __WALL | WNOHANG);
        if (ended == pid_ && WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
        if (ended != 0) {
            std::fprintf(stderr, "step: status %x\n", static_cast<unsigned>(status));
            give_up("unexpected end");
        }
        ::sched_yield();
        if (looks < looks_before_slow) continue;
        ::usleep(100);
        if (looks % 10 == 0) while_slow();
    }
    pid_ = -1;
}

void Subject::kill() {
    if (pid_ < 0) return;
    int status = 0;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status, __WALL) == pid_ && !WIFEXITED(status) && !WIFSIGNALED(status)) {
    }
    pid_ = -1;
}

// The program is mapped from its file's start, so the first mapping of it gives the address to
// subtract.
std::string Subject::where() const {
    if (pid_ < 0) return "its end";
    const std::uint64_t address = registers_of(pid_).rip;
    std::ifstream maps("/proc/" + std::to_string(pid_) + "/maps");
    std::string line;
    char program[512] = "";
    if (::readlink("/proc/self/exe", program, sizeof program - 1) < 0) return "?";
    std::uint64_t base = 0;
    while (std::getline(maps, line)) {
        const std::uint64_t first = std::stoull(line, nullptr, 16);
        const std::uint64_t last = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
        const bool ours = line.find(program) != std::string::npos;
        if (ours && base == 0) base = first;
        if (address < first || address >= last) continue;
        if (!ours) return line.substr(line.rfind(' ') + 1);
        char command[700];
        std::snprintf(command, sizeof command, "addr2line -Cspie '%s' 0x%llx 2>/dev/null", program,
                      static_cast<unsigned long long>(address - base));
        std::FILE* output = ::popen(command, "r");
        char text[1024] = "";
        if (output != nullptr) {
            text[std::fread(text, 1, sizeof text - 1, output)] = '\0';
            ::pclose(output);
        }
        return text;
    }
    return "?";
}

}  // namespace shmq::step

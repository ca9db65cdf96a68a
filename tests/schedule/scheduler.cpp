#include "schedule/scheduler.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace shmq::schedule {
namespace {

constexpr std::size_t stack_bytes = std::size_t{256} << 10;
constexpr std::size_t tasks_most = 16;
constexpr std::size_t recent_most = 1024;
// More steps than any run needs that gets anywhere: spinning that nobody ends.
constexpr std::uint64_t steps_most = 400'000;

// One stack a task number, used again by every run.
std::byte* stack_of(std::uint32_t number) {
    static std::byte* const stacks = [] {
        void* memory = ::mmap(nullptr, stack_bytes * tasks_most, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) std::abort();
        return static_cast<std::byte*>(memory);
    }();
    if (number >= tasks_most) std::abort();
    return stacks + number * stack_bytes;
}

}  // namespace

Scheduler* Scheduler::current_ = nullptr;

// ---- The atomics' side -------------------------------------------------------------------------

void before_access(const void* address) {
    Scheduler::current()->before_step(address);
}
void after_access(const void* address, Access access, std::uint64_t before, std::uint64_t after) {
    Scheduler::current()->after_step(address, access, before, after);
}
bool fails_for_no_reason() {
    return Scheduler::current()->random().one_in(8);
}
void atomic_fence(std::memory_order /*order*/) {}
void cpu_relax() {
    if (scheduling) Scheduler::current()->breathe();
}
bool futex_wait(ScheduledAtomic<std::uint32_t>& word, std::uint32_t value, bool may_time_out) {
    if (!scheduling) return true;
    return Scheduler::current()->sleep(word, value, may_time_out);
}
bool futex_wait_any(std::span<const WatchedWord> words, bool may_time_out) {
    if (!scheduling) return true;
    return Scheduler::current()->sleep(words, may_time_out);
}
std::uint32_t futex_wake(ScheduledAtomic<std::uint32_t>& word, std::uint32_t count) {
    return Scheduler::current() == nullptr ? 0 : Scheduler::current()->wake(&word, count);
}
bool barrier_everywhere() {
    cpu_relax();
    return true;
}

// ---- Tasks -------------------------------------------------------------------------------------

void Task::kill_within(std::uint32_t steps, Random& random) {
    kill_at_ = own_steps_ + 1 + random.below(steps);
}

void Task::stop_within(std::uint32_t steps, std::uint32_t duration, Random& random) {
    stop_at_ = own_steps_ + 1 + random.below(steps);
    stop_steps_ = duration == 0 ? 0 : 1 + random.below(duration);
}

Scheduler::Scheduler(std::uint64_t seed, Observer& observer)
    : observer_(observer), random_(seed), recent_(recent_most) {
    const std::uint32_t kind = random_.below(4);
    policy_ = kind == 0 ? Policy::uniform : kind == 3 ? Policy::priorities : Policy::bursts;
    burst_ = 2u << random_.below(6);
    const std::uint32_t points = random_.below(6);
    const std::uint32_t length = 64u << random_.below(6);
    for (std::uint32_t i = 0; i < points; ++i)
        change_points_.push_back(1 + random_.below(length));
    current_ = this;
}

Scheduler::~Scheduler() {
    scheduling = false;
    current_ = nullptr;
}

Task& Scheduler::spawn(const std::string& name, std::function<void()> body) {
    const auto number = static_cast<std::uint32_t>(tasks_.size());
    tasks_.push_back(std::unique_ptr<Task>(new Task(name, number, std::move(body))));
    Task& task = *tasks_.back();
    task.priority_ = lowest_priority_ + 1 + random_.below(1u << 16);
    task.fiber_.start(stack_of(number), stack_bytes, &Scheduler::task_main, &task);
    return task;
}

void Scheduler::task_main(void* task) {
    auto& self = *static_cast<Task*>(task);
    self.body_();
    self.state_ = Task::State::finished;
    ++current_->changes_;
    current_->give_way();
    std::abort();  // nobody comes back here
}

// ---- Running -----------------------------------------------------------------------------------

bool Scheduler::run() {
    Task* first = choose();
    if (first == nullptr) return true;
    running_ = first;
    scheduling = true;
    Fiber::switch_between(main_, first->fiber_, false);
    scheduling = false;
    running_ = nullptr;
    return failure_.empty();
}

void Scheduler::fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
    over_ = true;
    if (running_ == nullptr) return;
    scheduling = false;
    Task* last = running_;
    running_ = nullptr;
    Fiber::switch_between(last->fiber_, main_, true);
}

bool Scheduler::can_run(Task& task) {
    switch (task.state_) {
        case Task::State::able:
            return true;
        case Task::State::stopped:
            if (task.resume_at_ == 0 || steps_ < task.resume_at_) return false;
            task.state_ = Task::State::able;
            return true;
        case Task::State::idle:
            return changes_ - task.own_changes_ != task.idle_mark_;
        case Task::State::awaiting:
            return *task.awaited_;
        default:
            return false;
    }
}

Task* Scheduler::choose() {
    if (policy_ == Policy::priorities) return choose_by_priority();
    if (policy_ == Policy::bursts && running_ != nullptr && can_run(*running_) &&
        !random_.one_in(burst_)) {
        return running_;
    }
    Task* able[tasks_most];
    std::uint32_t count = 0;
    for (const auto& task : tasks_) {
        if (can_run(*task)) able[count++] = task.get();
    }
    return count == 0 ? nullptr : able[random_.below(count)];
}

// Few changes of priority, at steps drawn beforehand, find the bugs that need few (PCT).
Task* Scheduler::choose_by_priority() {
    if (running_ != nullptr &&
        std::find(change_points_.begin(), change_points_.end(), steps_) != change_points_.end()) {
        running_->priority_ = --lowest_priority_;
    }
    Task* best = nullptr;
    for (const auto& task : tasks_) {
        if (can_run(*task) && (best == nullptr || task->priority_ > best->priority_)) {
            best = task.get();
        }
    }
    return best;
}

void Scheduler::switch_to(Task& task) {
    if (task.state_ != Task::State::able) task.state_ = Task::State::able;
    if (&task == running_) return;
    Task* last = running_;
    running_ = &task;
    Fiber::switch_between(last->fiber_, task.fiber_, last->over());
    scheduling = true;
}

// The running task cannot, or does not want to, go on now.
void Scheduler::give_way() {
    for (;;) {
        if (Task* next = choose()) return switch_to(*next);
        if (!resume_stopped() && !time_out_one()) finish_or_dead_end();
    }
}

bool Scheduler::resume_stopped() {
    bool resumed = false;
    std::string stopped;
    for (const auto& task : tasks_) {
        if (task->state_ != Task::State::stopped) continue;
        if (task->stop_steps_ == 0) stopped = task->name;
        task->state_ = Task::State::able;
        resumed = true;
    }
    if (stopped.empty()) return resumed;
    for (const auto& task : tasks_) {
        if (!task->over() && task->state_ != Task::State::able && !task->background_) {
            fail(task->name + " cannot go on while " + stopped + " is stopped: " + who_waits());
        }
    }
    return resumed;
}

bool Scheduler::time_out_one() {
    for (const auto& task : tasks_) {
        if (task->state_ != Task::State::sleeping || !task->may_time_out_) continue;
        task->timed_out_ = true;
        task->state_ = Task::State::able;
        return true;
    }
    return false;
}

void Scheduler::finish_or_dead_end() {
    for (const auto& task : tasks_) {
        if (!task->over() && !task->background_) fail("dead end: " + who_waits());
    }
    fail("");
}

std::string Scheduler::who_waits() const {
    std::string text;
    for (const auto& task : tasks_) {
        if (task->over()) continue;
        static const char* const words[] = {"able", "stopped", "asleep", "idle",
                                            "waits for a flag"};
        text += (text.empty() ? "" : ", ") + task->name + " " +
                words[static_cast<std::size_t>(task->state_)];
    }
    return text;
}

// ---- Steps -------------------------------------------------------------------------------------

void Scheduler::before_step(const void* address) {
    if (!observer_.matters(address)) return;
    Task& task = *running_;
    ++steps_;
    ++task.own_steps_;
    if (steps_ > steps_most) fail("no end after " + std::to_string(steps_most) + " steps");
    if (task.own_steps_ == task.kill_at_) return die(task);
    if (task.own_steps_ == task.stop_at_) {
        task.state_ = Task::State::stopped;
        task.resume_at_ = task.stop_steps_ == 0 ? 0 : steps_ + task.stop_steps_;
        return give_way();
    }
    Task* next = choose();
    if (next != running_) switch_to(*next);
}

void Scheduler::after_step(const void* address, Access access, std::uint64_t before,
                           std::uint64_t after) {
    if (!observer_.matters(address)) return;
    const Step step{running_->number, access, address, before, after};
    recent_[steps_ % recent_most] = step;
    if (access != Access::load && access != Access::refused && before != after) {
        ++changes_;
        ++running_->own_changes_;
    }
    const Quiet quiet;
    observer_.after_step(*running_, step);
}

void Scheduler::die(Task& task) {
    kill(task);
    give_way();
}

void Scheduler::kill(Task& task) {
    if (task.over()) return;
    task.state_ = Task::State::killed;
    ++changes_;
    const Quiet quiet;
    observer_.on_death(task);
}

void Scheduler::breathe() {
    if (!scheduling) return;
    if (policy_ == Policy::priorities) running_->priority_ = --lowest_priority_;
    before_step(nullptr);
}

void Scheduler::idle_since(std::uint64_t mark) {
    running_->idle_mark_ = mark;
    running_->state_ = Task::State::idle;
    ++steps_;
    if (steps_ > steps_most) fail("no end after " + std::to_string(steps_most) + " steps");
    give_way();
}

void Scheduler::await(const bool& flag) {
    if (flag) return;
    running_->awaited_ = &flag;
    running_->state_ = Task::State::awaiting;
    give_way();
}

bool Scheduler::sleep(const ScheduledAtomic<std::uint32_t>& word, std::uint32_t value,
                      bool may_time_out) {
    const WatchedWord watched{const_cast<ScheduledAtomic<std::uint32_t>*>(&word), value};
    return sleep({&watched, 1}, may_time_out);
}

// As the kernel: word by word, and a wake-up on one that was queued takes this task off there, and
// only there, until it runs again.
bool Scheduler::sleep(std::span<const WatchedWord> words, bool may_time_out) {
    Task& task = *running_;
    task.sleeps_on_.clear();
    bool changed = false;
    for (const WatchedWord& watched : words) {
        before_step(watched.word);
        const Quiet quiet;
        changed = watched.word->load() != watched.value;
        if (changed) break;
        task.sleeps_on_.push_back(watched.word);
    }
    const auto woken = [&] { return task.sleeps_on_.size() != words.size(); };
    const bool at_once = changed || woken();
    task.timed_out_ = !at_once && may_time_out && random_.one_in(16);
    if (!at_once && !task.timed_out_) {
        task.may_time_out_ = may_time_out;
        task.state_ = Task::State::sleeping;
        give_way();
    }
    const bool signalled = woken() || !task.timed_out_;
    task.sleeps_on_.clear();
    return signalled;
}

// The kernel wakes in the order of arrival; any order must do.
std::uint32_t Scheduler::wake(const void* word, std::uint32_t count) {
    std::uint32_t woken = 0;
    if (scheduling) before_step(word);
    const auto start = random_.below(static_cast<std::uint32_t>(tasks_.size()));
    for (std::size_t i = 0; i < tasks_.size() && woken < count; ++i) {
        Task& task = *tasks_[(start + i) % tasks_.size()];
        const auto queued = std::find(task.sleeps_on_.begin(), task.sleeps_on_.end(), word);
        if (task.over() || queued == task.sleeps_on_.end()) continue;
        task.sleeps_on_.erase(queued);
        if (task.state_ == Task::State::sleeping) task.state_ = Task::State::able;
        ++woken;
    }
    return woken;
}

std::string Scheduler::trace(std::size_t most) const {
    std::string text;
    const std::uint64_t count = std::min<std::uint64_t>({most, recent_most, steps_});
    for (std::uint64_t step = steps_ - count + 1; step <= steps_; ++step) {
        const Step& taken = recent_[step % recent_most];
        if (taken.address == nullptr) continue;
        char head[48];
        std::snprintf(head, sizeof head, "%7llu %-12s ", static_cast<unsigned long long>(step),
                      tasks_[taken.task]->name.c_str());
        text += head + observer_.describe(taken) + "\n";
    }
    return text;
}

}  // namespace shmq::schedule

// Runs tasks one at a time and decides from a seed, before every access to shared memory, who goes
// on. A run of the same tasks with the same seed is the same run.
//
// A task may be killed before any of its steps (it never runs again, its stack is abandoned) or
// stopped for a while. When nobody can go on the run ends: well, if only background tasks are left
// and all of them wait for something to do; else it is a dead end, which fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "schedule/fiber.hpp"
#include "schedule/random.hpp"
#include "schedule/scheduled_atomic.hpp"

namespace shmq::schedule {

struct Step {
    std::uint32_t task = 0;
    Access access = Access::load;
    const void* address = nullptr;
    std::uint64_t before = 0;
    std::uint64_t after = 0;
};

class Task {
  public:
    enum class State : std::uint8_t { able, stopped, sleeping, idle, awaiting, killed, finished };

    const std::string name;
    const std::uint32_t number;

    // May be killed before one of its next `steps` steps.
    void kill_within(std::uint32_t steps, Random& random);
    // Stops before one of its next `steps` steps: for up to `duration` steps of others, or, with 0,
    // until nobody else can go on; then all others must have come to their ends without it.
    void stop_within(std::uint32_t steps, std::uint32_t duration, Random& random);
    // Waits for work when all others are done, and that is no dead end.
    void background() { background_ = true; }

    bool killed() const { return state_ == State::killed; }
    bool over() const { return killed() || state_ == State::finished; }

  private:
    friend class Scheduler;
    Task(std::string called, std::uint32_t index, std::function<void()> body)
        : name(std::move(called)), number(index), body_(std::move(body)) {}

    std::function<void()> body_;
    Fiber fiber_;
    State state_ = State::able;
    bool background_ = false;
    bool may_time_out_ = false;
    bool timed_out_ = false;
    std::uint32_t priority_ = 0;
    std::uint64_t own_steps_ = 0;
    std::uint64_t kill_at_ = 0;  // own step; 0: never
    std::uint64_t stop_at_ = 0;
    std::uint64_t stop_steps_ = 0;
    std::uint64_t resume_at_ = 0;  // step of the run
    std::uint64_t own_changes_ = 0;
    std::uint64_t idle_mark_ = 0;
    std::vector<const void*> sleeps_on_;  // words in whose queues it stands
    const bool* awaited_ = nullptr;
};

// What watches a run. Its functions are called quietly and may call Scheduler::fail.
class Observer {
  public:
    virtual ~Observer() = default;
    // Whether this address is worth a step of its own; counters are not.
    virtual bool matters(const void* address) const = 0;
    virtual void after_step(const Task& task, const Step& step) = 0;
    virtual void on_death(Task& task) = 0;
    virtual std::string describe(const Step& step) const = 0;
};

class Scheduler {
  public:
    Scheduler(std::uint64_t seed, Observer& observer);
    ~Scheduler();

    Task& spawn(const std::string& name, std::function<void()> body);
    // Runs until everybody is done. False: it failed.
    bool run();
    // Ends the run; does not return when called by a task.
    void fail(const std::string& what);
    const std::string& failure() const { return failure_; }
    // The last steps, oldest first.
    std::string trace(std::size_t most) const;
    std::uint64_t steps() const { return steps_; }
    // Kills a task from outside, at the current step.
    void kill(Task& task);

    static Scheduler* current() { return current_; }
    Task* running() { return running_; }
    Random& random() { return random_; }

    // ---- For tasks ----
    // What others have changed so far: to be read before a look, and given to idle_since after it.
    std::uint64_t mark() const { return changes_ - running_->own_changes_; }
    // Found nothing to do: not again before somebody has changed something since `mark`.
    void idle_since(std::uint64_t mark);
    // Goes on when the flag is set.
    void await(const bool& flag);
    // Lets others run.
    void breathe();

    // ---- For the atomics ----
    void before_step(const void* address);
    void after_step(const void* address, Access access, std::uint64_t before, std::uint64_t after);
    bool sleep(const ScheduledAtomic<std::uint32_t>& word, std::uint32_t value, bool may_time_out);
    bool sleep(std::span<const WatchedWord> words, bool may_time_out);
    std::uint32_t wake(const void* word, std::uint32_t count);

  private:
    enum class Policy : std::uint8_t { uniform, bursts, priorities };

    static void task_main(void* task);
    bool can_run(Task& task);
    Task* choose();
    Task* choose_by_priority();
    bool resume_stopped();
    bool time_out_one();
    void finish_or_dead_end();
    void give_way();
    void switch_to(Task& task);
    void die(Task& task);
    std::string who_waits() const;

    static Scheduler* current_;

    Observer& observer_;
    Random random_;
    Policy policy_;
    std::uint32_t burst_;
    std::vector<std::uint64_t> change_points_;  // of priorities, in steps
    std::uint32_t lowest_priority_ = 1u << 16;
    std::vector<std::unique_ptr<Task>> tasks_;
    Fiber main_;
    Task* running_ = nullptr;
    std::uint64_t steps_ = 0;
    std::uint64_t changes_ = 0;
    bool over_ = false;
    std::string failure_;
    std::vector<Step> recent_;
};

}  // namespace shmq::schedule

#include "step/explorer.hpp"

#include <sys/mman.h>

#include <new>
#include <stdexcept>

#include "step/subject.hpp"
#include "step/world.hpp"

namespace shmq::step {
namespace {

// Of the subject, and of the supervisor that cleans up after it.
constexpr int levels = 2;

Report& report_page(int level) {
    static Report* reports = [] {
        void* page = ::mmap(nullptr, levels * sizeof(Report), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) throw std::bad_alloc();
        return new (page) Report[levels];
    }();
    return reports[level];
}

std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

class Explorer {
  public:
    // A scenario from its beginning; or, from `world` on, what the supervisor does about what
    // befell the subject: `client`, where it is not dead but stopped.
    Explorer(const Scenario& scenario, const Operation& operation, const World& world,
             const Choice& choice, int level, Subject* client = nullptr);

    Explored run();

  private:
    bool applies(Fate fate) const;
    bool chosen(Fate fate) const;
    void at_instant(bool changed);
    void try_fate(Fate fate);
    std::string breach_of(Fate fate, World& world);
    void kill_here(Fate fate, World& world);
    std::string kill_supervisor_too(Fate fate, World& world);
    void let_client_go_on(World& world);
    void stop_here(Fate fate, World& world, Subject& subject);
    std::string kill_after_a_stop(World& world);
    void compare_with_a_real_kill();
    void finish_undisturbed();
    Subject another_to_here();
    void feed();
    // The subject of this level is the supervisor, not a client.
    bool supervises() const { return operation_.role == shm::Role::none; }
    bool counters_exact() const { return level_ == 0 || client_ != nullptr; }

    const Scenario& scenario_;
    const Operation& operation_;
    const Choice& choice_;
    const int level_;
    Subject* const client_;
    const bool changes_only_;
    Report& report_;
    World world_;    // as of the last time that anybody but the subject acted
    Memory memory_;  // as of this instant
    Memory start_;
    Subject* subject_ = nullptr;
    Subject* origin_ = nullptr;  // stays at the start
    std::uint64_t instant_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t salt_ = 0;
    std::uint32_t real_one_in_;
    Explored explored_;
};

Explorer::Explorer(const Scenario& scenario, const Operation& operation, const World& world,
                   const Choice& choice, int level, Subject* client)
    : scenario_(scenario),
      operation_(operation),
      choice_(choice),
      level_(level),
      client_(client),
      changes_only_(scenario.changes_only || level > 0),
      report_(report_page(level)),
      world_(world),
      memory_(world_.segments(), world_.log(), report_page(0), levels),
      start_(world_.segments(), world_.log(), report_page(0), levels),
      real_one_in_(choice.one_in == 1 ? 100 : 400) {
    for (const char c : scenario.name)
        salt_ = mix(salt_ ^ static_cast<unsigned char>(c));
    if (supervises()) world_.supervisor_is_under_test();
}

bool Explorer::applies(Fate fate) const {
    switch (fate) {
        case Fate::killed:
            return true;
        case Fate::killed_unnoticed:
        case Fate::stopped:
        case Fate::stopped_as_we_sleep:
            return client_ == nullptr;
        case Fate::killed_twice:
            return !supervises() || &operation_ == &journal_work;
        case Fate::stopped_and_killed:
            return &operation_ == &journal_work;
        case Fate::stopped_hung_up:
            return !supervises();
        case Fate::stopped_and_swept:
            return operation_.role == shm::Role::consumer && !operation_.maps;
        default:
            return operation_.role == shm::Role::consumer;
    }
}

bool Explorer::chosen(Fate fate) const {
    if (choice_.only && *choice_.only != instant_) return false;
    if (choice_.only_fate) return *choice_.only_fate == fate;
    const std::uint64_t draw =
        mix(choice_.seed ^ salt_ ^ mix(instant_ * fates + static_cast<std::uint64_t>(fate)));
    // Deaths of the supervisor are few, and cheap to try.
    const bool all = choice_.only || (supervises() && fate <= Fate::killed_unnoticed);
    return all || draw % choice_.one_in == 0;
}

Explored Explorer::run() {
    Subject subject(report_, [this] { operation_.run(world_, world_.subject(), report_); });
    subject_ = &subject;
    start_.save();
    Subject origin = subject.copy();
    origin_ = &origin;
    memory_.save();
    bool changed = true;
    do {
        changed = changed || memory_.changed();
        if (!subject.in_clock() && (changed || !changes_only_ || subject.called_system())) {
            at_instant(changed);
            ++instant_;
            changed = false;
        }
        if (!explored_.breach.empty()) break;
        ++steps_;
    } while (subject.step([this] { feed(); }));
    explored_.instants += instant_;
    if (explored_.breach.empty() && level_ == 0) finish_undisturbed();
    return explored_;
}

// The run itself, in which nothing befell anybody.
void Explorer::finish_undisturbed() {
    world_.hear(report_);
    if (supervises()) world_.change_supervisor(false);
    world_.finish(true);
    if (!world_.ledger().broken().empty()) {
        explored_.breach = "undisturbed: " + world_.ledger().broken();
    }
}

// The subject sleeps: others do what it waits for, in the story that all later instants share.
void Explorer::feed() {
    world_.hear(report_);
    world_.feed_subject();
}

void Explorer::at_instant(bool changed) {
    memory_.save();
    for (std::size_t i = 0; i < fates; ++i) {
        const auto fate = static_cast<Fate>(i);
        if (!applies(fate) || !chosen(fate)) continue;
        const bool twice = fate == Fate::killed_twice || fate >= Fate::stopped_and_swept;
        if (twice && !changed) continue;
        try_fate(fate);
        memory_.restore();
        if (!explored_.breach.empty()) return;
    }
    // A subject that may sleep reads the clock: no two runs of it are the same.
    const bool compare = !operation_.sleeps && !choice_.only &&
                         mix(choice_.seed ^ salt_ ^ instant_) % real_one_in_ == 0;
    if (compare) compare_with_a_real_kill();
}

void Explorer::try_fate(Fate fate) {
    ++explored_.trials;
    World world = world_;
    if (level_ == 0) world.hear(report_);
    const std::string breach = breach_of(fate, world);
    if (breach.empty()) return;
    explored_.breach = std::string(fate_name(fate)) + " at instant " + std::to_string(instant_) +
                       ", before " + subject_->where() + "  " + breach;
    if (level_ > 0) return;
    explored_.breach += "\n  replay: SHMQ_STEP_REPLAY=" + scenario_.name + ":" + fate_name(fate) +
                        ":" + std::to_string(instant_);
}

std::string Explorer::breach_of(Fate fate, World& world) {
    switch (fate) {
        case Fate::killed_twice:
        case Fate::stopped_and_swept:
            return kill_supervisor_too(fate, world);
        case Fate::stopped_and_killed:
            return kill_after_a_stop(world);
        case Fate::killed:
        case Fate::killed_unnoticed:
        case Fate::killed_expired:
            kill_here(fate, world);
            break;
        default: {
            Subject stopped = operation_.maps ? another_to_here() : subject_->copy();
            stop_here(fate, world, stopped);
        }
    }
    return world.ledger().broken();
}

// All that a process leaves is shared memory, and there it is.
void Explorer::kill_here(Fate fate, World& world) {
    world.disk_keeps_all(fate != Fate::killed);
    if (fate == Fate::killed_expired) world.expire_leases();
    if (fate != Fate::killed) world.others_go_on(true);
    if (supervises()) {
        world.change_supervisor(true);
    } else {
        world.reclaim_subject(shm::Ending::died);
    }
    if (client_ != nullptr) let_client_go_on(world);
    world.others_go_on(false);
    world.finish(supervises() && counters_exact());
}

void Explorer::let_client_go_on(World& world) {
    world.others_go_on(true);
    Subject client = client_->copy();
    client.run_to_end([&] {
        world.hear(report_page(0));
        world.feed_subject();
    });
    world.hear(report_page(0));
}

// The subject has died or been stopped here; now the supervisor dies, at each change that it makes.
std::string Explorer::kill_supervisor_too(Fate fate, World& world) {
    Choice all;
    all.seed = choice_.seed;
    const bool dead = fate == Fate::killed_twice;
    const Operation& next = !dead          ? sweep_leases
                            : supervises() ? journal_take_over
                                           : reclaim_subject;
    if (supervises()) {
        world.disk_keeps_all(false);
    } else if (dead) {
        world.subject_dies();
    } else {
        world.see_leases();
        world.let_leases_run_out();
    }
    Explorer second(scenario_, next, world, all, level_ + 1, dead ? nullptr : subject_);
    const Explored explored = second.run();
    explored_.trials += explored.trials;
    explored_.kills += explored.kills;
    return explored.breach;
}

void Explorer::stop_here(Fate fate, World& world, Subject& subject) {
    if (fate == Fate::stopped_as_we_sleep) {
        world.others_fall_asleep();
    } else {
        if (fate == Fate::stopped_expired) world.expire_leases();
        if (fate == Fate::stopped_hung_up) world.hang_up_subject();
        world.others_go_on(true);
    }
    subject.run_to_end([&] {
        world.hear(report_);
        world.feed_subject();
    });
    if (level_ == 0) world.hear(report_);
    if (supervises()) world.change_supervisor(false);
    if (level_ > 0) world.subject_was_reclaimed();
    world.wake_others(false);
    if (fate == Fate::stopped_hung_up) world.reclaim_subject(shm::Ending::died);
    world.others_go_on(false);
    world.finish(counters_exact());
}

// The supervisor finds other things than it left, a claim of its own passed over for one, and dies
// of it.
std::string Explorer::kill_after_a_stop(World& world) {
    Subject stopped = subject_->copy();
    world.others_go_on(true);
    Memory then(world.segments(), world.log(), report_page(0), levels);
    do {
        if (!then.changed()) continue;
        ++explored_.trials;
        then.save();
        World after_death = world;
        kill_here(Fate::killed, after_death);
        then.restore();
        if (!after_death.ledger().broken().empty()) return after_death.ledger().broken();
    } while (stopped.step([] {}));
    return {};
}

// A second subject from the same start, with the same bytes of its own, at the same instant.
Subject Explorer::another_to_here() {
    start_.restore();
    Subject another = origin_->copy();
    for (std::uint64_t step = 0; step < steps_; ++step)
        another.step([] {});
    return another;
}

void Explorer::compare_with_a_real_kill() {
    Subject another = another_to_here();
    another.kill();
    ++explored_.kills;
    if (memory_.changed()) {
        explored_.breach = "a process killed at instant " + std::to_string(instant_) +
                           " left other bytes than one that was stopped there";
    }
    memory_.restore();
}

}  // namespace

const char* fate_name(Fate fate) {
    static const char* const names[fates] = {"killed",
                                             "killed_unnoticed",
                                             "killed_expired",
                                             "killed_twice",
                                             "stopped",
                                             "stopped_expired",
                                             "stopped_hung_up",
                                             "stopped_as_we_sleep",
                                             "stopped_and_swept",
                                             "stopped_and_killed"};
    return names[static_cast<std::size_t>(fate)];
}

Explored explore(const Scenario& scenario, const Choice& choice) {
    return Explorer(scenario, *scenario.operation, World(scenario.setting), choice, 0).run();
}

}  // namespace shmq::step

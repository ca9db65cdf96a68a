#include "step/explorer.hpp"

#include <sys/mman.h>

#include <new>
#include <stdexcept>

namespace shmq::step {
namespace {

Report& report_page() {
    static Report* report = [] {
        void* page = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) throw std::bad_alloc();
        return new (page) Report;
    }();
    return *report;
}

std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

bool kills(Fate fate) {
    return fate <= Fate::killed_expired;
}

class Explorer {
  public:
    Explorer(const Scenario& scenario, const Choice& choice)
        : scenario_(scenario),
          choice_(choice),
          report_(report_page()),
          world_(scenario.setting),
          memory_(world_.segment(), report_) {
        for (const char c : scenario.name)
            salt_ = mix(salt_ ^ static_cast<unsigned char>(c));
        real_one_in_ = choice.one_in == 1 ? 100 : 400;
    }

    Explored run();

  private:
    bool chosen(Fate fate) const;
    bool applies(Fate fate) const;
    void at_instant();
    void try_fate(Fate fate);
    void kill_here(Fate fate, World& world);
    void stop_here(Fate fate, World& world, Subject& subject);
    void compare_with_a_real_kill();
    Subject another_to_here();
    Subject fresh_subject();
    void feed();

    const Scenario& scenario_;
    const Choice& choice_;
    Report& report_;
    World world_;    // as of the last time that anybody but the subject acted
    Memory memory_;  // as of this instant
    Memory start_{world_.segment(), report_};
    Subject* subject_ = nullptr;
    Subject* origin_ = nullptr;  // stays at the start
    std::uint64_t instant_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t salt_ = 0;
    std::uint32_t real_one_in_;
    Explored explored_;
};

bool Explorer::chosen(Fate fate) const {
    if (choice_.only && *choice_.only != instant_) return false;
    if (choice_.only_fate) return *choice_.only_fate == fate;
    const std::uint64_t draw =
        mix(choice_.seed ^ salt_ ^ mix(instant_ * fates + static_cast<std::uint64_t>(fate)));
    return choice_.only || draw % choice_.one_in == 0;
}

bool Explorer::applies(Fate fate) const {
    const bool consumer = scenario_.setting.subject == shm::Role::consumer;
    switch (fate) {
        case Fate::killed_expired:
        case Fate::stopped_expired:
            return consumer;
        default:
            return true;
    }
}

Subject Explorer::fresh_subject() {
    return Subject(report_,
                   [this] { scenario_.operation->run(world_, world_.subject(), report_); });
}

Explored Explorer::run() {
    Subject subject = fresh_subject();
    subject_ = &subject;
    start_.save();
    Subject origin = subject.copy();
    origin_ = &origin;
    memory_.save();
    bool first = true;
    do {
        if (first || !scenario_.changes_only || subject.called_system() || memory_.changed()) {
            at_instant();
            ++instant_;
        }
        first = false;
        if (!explored_.breach.empty()) break;
        ++steps_;
    } while (subject.step([this] { feed(); }));
    explored_.instants = instant_;
    if (explored_.breach.empty() && report_.stage() == Report::ended) {
        // The run itself, undisturbed.
        world_.hear(report_);
        world_.finish(true);
        if (!world_.ledger().broken().empty()) {
            explored_.breach = "undisturbed: " + world_.ledger().broken();
        }
    }
    return explored_;
}

// The subject sleeps: others do what it waits for, in the story that all later instants share.
void Explorer::feed() {
    world_.hear(report_);
    world_.feed_subject();
}

void Explorer::at_instant() {
    memory_.save();
    for (std::size_t i = 0; i < fates; ++i) {
        const auto fate = static_cast<Fate>(i);
        if (!applies(fate) || !chosen(fate)) continue;
        try_fate(fate);
        memory_.restore();
        if (!explored_.breach.empty()) return;
    }
    // A subject that may sleep reads the clock: no two runs of it are the same.
    const bool compare =
        !scenario_.operation->sleeps && mix(choice_.seed ^ salt_ ^ instant_) % real_one_in_ == 0;
    if (compare && !choice_.only) compare_with_a_real_kill();
}

void Explorer::try_fate(Fate fate) {
    ++explored_.trials;
    World world = world_;
    world.hear(report_);
    if (kills(fate)) {
        kill_here(fate, world);
    } else {
        Subject stopped = scenario_.changes_only ? another_to_here() : subject_->copy();
        stop_here(fate, world, stopped);
    }
    if (world.ledger().broken().empty()) return;
    explored_.breach = std::string(fate_name(fate)) + " at instant " + std::to_string(instant_) +
                       ": " + world.ledger().broken() + "\n  before " + subject_->where() +
                       "  replay: SHMQ_STEP_REPLAY=" + scenario_.name + ":" + fate_name(fate) +
                       ":" + std::to_string(instant_);
}

// All that a process leaves is shared memory, and there it is.
void Explorer::kill_here(Fate fate, World& world) {
    if (fate == Fate::killed_expired) world.expire_leases();
    if (fate != Fate::killed) world.others_go_on(true);
    world.reclaim_subject(shm::Ending::died);
    world.others_go_on(false);
    world.finish(false);
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
    world.hear(report_);
    world.wake_others(false);
    if (fate == Fate::stopped_hung_up) world.reclaim_subject(shm::Ending::died);
    world.others_go_on(false);
    world.finish(true);
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
    static const char* const names[fates] = {
        "killed",          "killed_unnoticed", "killed_expired",     "stopped",
        "stopped_expired", "stopped_hung_up",  "stopped_as_we_sleep"};
    return names[static_cast<std::size_t>(fate)];
}

Explored explore(const Scenario& scenario, const Choice& choice) {
    return Explorer(scenario, choice).run();
}

}  // namespace shmq::step

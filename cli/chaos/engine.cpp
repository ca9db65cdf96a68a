#include "cli/chaos/engine.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include <shmq/client.hpp>

#include "cli/chaos/household.hpp"
#include "cli/chaos/roles.hpp"
#include "client/session.hpp"
#include "shm/audit.hpp"

namespace shmq::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using Random = std::mt19937_64;

// Between two blows against daemon or keeper. Faster, and it would be chaos without a daemon.
constexpr milliseconds daemon_pause{500};
constexpr seconds drain_patience{60};

class Actor {
  public:
    Actor(std::function<int(std::uint64_t)> part, Random& random)
        : part_(std::move(part)), random_(random) {
        start();
    }
    void start() {
        const std::uint64_t seed = random_();
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        ::signal(SIGINT, SIG_IGN);  // Ctrl-C ends the run in order
        ::_exit(part_(seed));
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    pid_t pid() const { return pid_; }
    int wait() {
        int status = -1;
        ::waitpid(pid_, &status, 0);
        return status;
    }

  private:
    std::function<int(std::uint64_t)> part_;
    Random& random_;
    pid_t pid_ = -1;
};

class Run {
  public:
    explicit Run(const Plan& plan);
    Outcome finish();

  private:
    void set_up();
    void hold_the_queue();
    void play_havoc();
    void hit_an_actor();
    void hit_the_daemon();
    void stop_for_a_while(pid_t pid);
    void wind_up();
    bool comes_to(const std::function<bool(const QueueInfo&)>& wanted);
    void audit();
    void complain(const std::string& problem) { outcome_.problems.push_back(problem); }

    const Plan& plan_;
    Random random_;
    Household household_;
    Books& books_;
    Play play_;
    std::optional<Client> client_;
    std::optional<Producer> holder_;
    std::vector<Actor> actors_;
    Outcome outcome_;
};

Run::Run(const Plan& plan)
    : plan_(plan),
      random_(plan.seed),
      household_(plan.daemon_program),
      books_(Books::create(plan.producers, plan.messages_most)) {
    const std::chrono::duration<double> time(plan.time);
    play_ = {household_.socket(), "chaos", &books_, plan.payload_most,
             0.9 * plan.messages_most / time.count()};
}

void Run::set_up() {
    client_ = value_or_throw(Client::connect({.socket = household_.socket()}));
    value_or_throw(client_->create(play_.queue, plan_.options));
    hold_the_queue();
    actors_.reserve(plan_.producers + plan_.consumers);
    for (std::uint32_t i = 0; i < plan_.producers; ++i) {
        actors_.emplace_back([this, i](std::uint64_t seed) { return produce(play_, i, seed); },
                             random_);
    }
    for (std::uint32_t i = 0; i < plan_.consumers; ++i) {
        actors_.emplace_back([this](std::uint64_t seed) { return consume(play_, seed); }, random_);
    }
}

// A queue that nobody has open dies with daemon and keeper, and that is no loss of ours. A role
// that only one can have is not for us: then both are never killed at once.
void Run::hold_the_queue() {
    if (!plan_.options.exclusive_producer) holder_ = value_or_throw(client_->producer(play_.queue));
}

void Run::play_havoc() {
    const auto end = steady_clock::now() + plan_.time;
    auto daemon_due = steady_clock::now() + daemon_pause;
    while (steady_clock::now() < end && !plan_.stopped()) {
        std::this_thread::sleep_for(std::chrono::microseconds(random_() % 20'000));
        if (plan_.daemon && steady_clock::now() > daemon_due) {
            hit_the_daemon();
            daemon_due = steady_clock::now() + daemon_pause + milliseconds(random_() % 1000);
        } else {
            hit_an_actor();
        }
    }
}

void Run::hit_an_actor() {
    const std::size_t index = random_() % actors_.size();
    Actor& victim = actors_[index];
    if (random_() % 4 == 0) return stop_for_a_while(victim.pid());
    victim.kill();
    victim.start();
    ++(index < plan_.producers ? outcome_.kills.producers : outcome_.kills.consumers);
}

void Run::hit_the_daemon() {
    const pid_t daemon = household_.daemon();
    const pid_t keeper = household_.keeper();
    const std::uint64_t choice = random_() % 10;
    // Whoever is missing is just being started, or both died of two blows.
    if (household_.revive() || daemon < 0) return;
    if (choice < 6) {
        ::kill(daemon, SIGKILL);
        ++outcome_.kills.daemons;
    } else if (choice < 8 && keeper > 0) {
        ::kill(keeper, SIGKILL);
        ++outcome_.kills.keepers;
    } else if (choice < 9 && keeper > 0 && holder_) {
        ::kill(keeper, SIGKILL);
        ::kill(daemon, SIGKILL);
        ++outcome_.kills.daemons;
        ++outcome_.kills.keepers;
        ++outcome_.kills.both;
    } else {
        stop_for_a_while(random_() % 2 == 0 || keeper < 0 ? daemon : keeper);
    }
}

void Run::stop_for_a_while(pid_t pid) {
    ::kill(pid, SIGSTOP);
    std::this_thread::sleep_for(milliseconds(1 + random_() % 100));
    ::kill(pid, SIGCONT);
    ++outcome_.kills.stops;
}

// Producers end by themselves, consumers once nothing is left.
void Run::wind_up() {
    books_.stop_producing = true;
    for (std::uint32_t i = 0; i < plan_.producers; ++i) {
        household_.revive();
        if (actors_[i].wait() != 0) complain("a producer ended with an error");
    }
    const auto empty = [](const QueueInfo& q) { return q.ready + q.leased + q.returned == 0; };
    if (!comes_to(empty)) complain("messages are left that nobody gets");
    books_.stop_consuming = true;
    for (std::uint32_t i = 0; i < plan_.consumers; ++i) {
        if (actors_[plan_.producers + i].wait() != 0) complain("a consumer ended with an error");
    }
    const std::uint32_t ours = holder_ ? 1 : 0;
    const auto alone = [&](const QueueInfo& q) { return q.producers + q.consumers == ours; };
    if (!comes_to(alone)) complain("the dead are still counted as participants");
}

bool Run::comes_to(const std::function<bool(const QueueInfo&)>& wanted) {
    const auto end = steady_clock::now() + drain_patience;
    while (steady_clock::now() < end) {
        household_.revive();
        const auto info = client_->describe(play_.queue);
        if (info && wanted(*info)) return true;
        std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
}

void Run::audit() {
    const auto seen = SessionAccess::of(*client_)->observe(play_.queue);
    if (!seen) return complain("the queue cannot be looked at: " + seen.error().message());
    for (const std::string& violation : shm::audit(*seen->segment, true))
        complain("the queue is not sound: " + violation);
    const std::uint64_t blocks = shm::count_states(*seen->segment).blocks_used;
    if (blocks != 0) complain(std::to_string(blocks) + " blocks are in nobody's hands");
}

Outcome Run::finish() {
    set_up();
    play_havoc();
    wind_up();
    outcome_.totals = add_up(books_);
    outcome_.duplicated = books_.duplicates;
    outcome_.text = describe(outcome_.totals, books_);
    audit();
    const auto wrong = [&](std::uint64_t count, const char* what) {
        if (count != 0) complain(std::to_string(count) + " " + what);
    };
    wrong(outcome_.totals.lost, "confirmed messages were never delivered");
    wrong(outcome_.totals.unacked, "messages were delivered and never acked");
    wrong(books_.damaged, "deliveries had not the content that was sent");
    wrong(books_.after_ack, "deliveries came after their ack");
    wrong(books_.unmarked_duplicates, "duplicates were not marked as redelivered");
    wrong(books_.errors, "errors were seen by producers and consumers");
    holder_.reset();
    client_.reset();
    if (!household_.end()) complain("daemon or keeper does not end");
    if (!outcome_.problems.empty()) outcome_.text += "\nthe daemons said:\n" + household_.log();
    return std::move(outcome_);
}

}  // namespace

Outcome run(const Plan& plan) {
    return Run(plan).finish();
}

}  // namespace shmq::chaos

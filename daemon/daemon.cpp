#include "daemon/daemon.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/check.hpp"
#include "base/version.hpp"
#include "daemon/accounts.hpp"
#include "daemon/adoption.hpp"
#include "daemon/catalogue.hpp"
#include "daemon/control/server.hpp"
#include "daemon/dead_letters.hpp"
#include "daemon/events.hpp"
#include "daemon/journals.hpp"
#include "daemon/keeper/message.hpp"
#include "daemon/keeper/store.hpp"
#include "daemon/log.hpp"
#include "daemon/metrics/http.hpp"
#include "daemon/random_identity.hpp"
#include "daemon/registry.hpp"
#include "daemon/roster.hpp"
#include "daemon/state_directory.hpp"
#include "daemon/supervisor.hpp"
#include "daemon/timers.hpp"

namespace shmq::daemon {
namespace {

// Clients look for a daemon that is gone several times a second.
constexpr Nanoseconds recovery_time_ns = nanoseconds_per_second;

// Each session takes three descriptors, each queue one, and one for its blocks once it was used.
// The soft limit of 1024 is for programs that use select().
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log().warn("the limit of descriptors stays low: {}", std::strerror(errno));
    }
}

// Blocked, so that they are read from a descriptor like everything else. A reader of the log that
// goes away (SIGPIPE) must not take the daemon along.
Fd open_signals() {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP})
        ::sigaddset(&set, number);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return {};
    return Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

// The memory of what nobody is attached to ends with us, so nobody can ever come for the rest of
// it.
void drop_overflow(Registry& registry, Journals& journals) {
    for (const auto& [name, queue] : registry.all()) {
        const shm::Geometry& geometry = queue->segment().geometry();
        const bool only_spills =
            geometry.has(shm::journal_present) && !geometry.has(shm::durable_log);
        if (!only_spills || queue->producers + queue->consumers != 0) continue;
        log().info("queue {} ends with its daemon, and its overflow with it", name);
        journals.remove(*queue);
    }
}

}  // namespace

// In the order in which they are built. Each knows only those above it, so that destruction, from
// below, finds every one of them without users; their destructors check that they are empty.
struct Daemon::Parts {
    Parts(const Options& options, std::unique_ptr<Io> loop)
        : io(std::move(loop)),
          store(*io, timers),
          accounts(options.quotas),
          journals(*io, timers, state),
          registry(accounts, store, catalogue, journals),
          dead_letters(registry, timers),
          supervisor(*io, timers, store, roster, dead_letters),
          methods(registry, dead_letters, supervisor, session_count, journals.recovering(), about),
          metrics(*io, timers, [this] { return methods.metrics_page(); }),
          server(*io, timers, accounts, supervisor, methods, events, session_count,
                 options.frame_time_max_ns) {}

    Listener listener;
    std::unique_ptr<Io> io;
    Timers timers;
    Store store;
    Roster roster;
    Catalogue catalogue;
    Accounts accounts;
    StateDirectory::Opened state = std::unexpected("the state directory is not open yet");
    Journals journals;
    Registry registry;
    DeadLetters dead_letters;
    Supervisor supervisor;
    std::size_t session_count = 0;
    About about;
    Methods methods;
    Events events;
    MetricsServer metrics;
    Server server;
    Fd signals;
    Source signal_source;
    Source stop_source;
    Timer idle_timer;
    Timer alive_timer;
    Timer restore_timer;
    std::vector<Journals::LeftBehind> left_behind;
    bool stopping = false;
};

Daemon::Daemon(Options options, Survival survival)
    : options_(std::move(options)),
      named_socket_(options_.socket),
      survival_(std::move(survival)),
      stop_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (options_.socket.empty()) options_.socket = default_socket_path();
}

Daemon::~Daemon() {
    if (parts_ != nullptr) shut_down();
}

const char* Daemon::loop_name() const {
    SHMQ_CHECK(parts_ != nullptr);
    return parts_->io->name();
}

bool Daemon::start() {
    SHMQ_CHECK(parts_ == nullptr);
    raise_descriptor_limit();
    std::string refusal;
    auto io = Io::create(options_.io, refusal);
    if (io == nullptr || !stop_event_) {
        problem_ = io == nullptr ? "no event loop: " + refusal : "no descriptor for stopping";
        return false;
    }
    auto parts = std::make_unique<Parts>(options_, std::move(io));
    // Before there is a socket: who can connect may also tell us to end.
    if (options_.handle_signals && !(parts->signals = open_signals())) {
        problem_ = fmt::format("signals: {}", std::strerror(errno));
        return false;
    }
    parts_ = std::move(parts);
    parts_->registry.set_defaults(options_.queue_defaults);
    // The lock first: of two daemons, the second must not touch what the first works on.
    if (!listen() || !open_state() || !take_over()) {
        give_up();
        return false;
    }
    watch_controls();
    listen_for_metrics();
    parts_->server.start(parts_->listener);
    log().info("shmqd {} (pid {}) listens on {}, loop {}{}", version_text(), ::getpid(),
               options_.socket, parts_->io->name(), refusal.empty() ? "" : " because " + refusal);
    parts_->store.say_ready();
    if (survival_.watchdog_ns > 0) say_alive();
    return true;
}

bool Daemon::listen() {
    Inherited& left = survival_.inherited;
    Fd socket = take(left, std::string(kept::lent));
    const bool lent = socket.valid();
    if (!lent) socket = take(left, std::string(kept::listener));
    Fd lock = take(left, std::string(kept::lock));
    problem_ = parts_->listener.open(options_.socket, std::move(socket), std::move(lock), lent);
    if (problem_.empty()) return true;
    // A keeper that started us beside a living daemon is one too many.
    const auto keeper = left.find(std::string(kept::keeper));
    if (parts_->listener.held_by_another() && keeper != left.end()) {
        send_notice(keeper->second.get(), "STOPPING=1", -1);
    }
    return false;
}

// A successor does not refuse: the queues that were kept for it would be lost.
bool Daemon::open_state() {
    const bool named = !options_.state_directory.empty();
    std::error_code ignored;
    const std::filesystem::path path =
        named ? options_.state_directory : default_state_path(named_socket_);
    parts_->state = StateDirectory::open(std::filesystem::absolute(path, ignored).string());
    About& about = parts_->about;
    if (parts_->state) {
        about.state_directory = (*parts_->state)->path();
        about.alarm = (*parts_->state)->warning();
        if (!about.alarm.empty()) log().warn("{}", about.alarm);
        const auto means = parts_->journals.start(options_.io == IoChoice::epoll
                                                      ? journal::EngineChoice::thread
                                                      : journal::EngineChoice::automatic);
        if (!means) {
            problem_ = "journals cannot be written: " + means.error();
            return false;
        }
        log().info("journals in {}, by {}", (*parts_->state)->path(), *means);
        return true;
    }
    if (named && !succeeds()) {
        problem_ = parts_->state.error();
        parts_->listener.close();  // nothing was left that somebody could come for
        return false;
    }
    about.alarm = parts_->state.error() + "; no queue with a journal can be made";
    log().warn("{}", about.alarm);
    return true;
}

bool Daemon::succeeds() const {
    return std::any_of(survival_.inherited.begin(), survival_.inherited.end(),
                       [](const auto& kept) { return kept_id(kept.first, kept::ring) != 0; });
}

// Before anybody is answered.
bool Daemon::take_over() {
    Parts& parts = *parts_;
    parts.about.socket = options_.socket;
    parts.about.instance = random_identity().text();
    parts.about.started_at = monotonic_now();
    parts.about.loop = parts.io->name();
    open_store();
    const Adoption adoption =
        adopt(survival_.inherited, parts.store,
              {parts.catalogue, parts.roster, parts.registry, parts.supervisor});
    if (!adoption.refusal.empty()) {
        problem_ = adoption.refusal;
        return false;
    }
    parts.store.keep(std::string(kept::lock), parts.listener.lock_fd());
    if (!parts.listener.lent()) {
        parts.store.keep(std::string(kept::listener), parts.listener.fd());
    }
    parts.about.restarts = parts.roster.lives();
    parts.about.adopted = adoption.queues;
    // Nothing was left, though somebody was killed here, or is here still: those who hold queues
    // bring them back, and until they had the time for it nobody makes others of the same names.
    parts.left_behind = parts.journals.left_behind();
    std::erase_if(parts.left_behind, [&](const Journals::LeftBehind& left) {
        return parts.registry.has(left.definition.identity);
    });
    const bool may_be_held =
        std::any_of(parts.left_behind.begin(), parts.left_behind.end(),
                    [](const Journals::LeftBehind& left) { return left.of_this_boot; });
    if (may_be_held || adoption.incomplete != 0 ||
        (!adoption.roster && parts.listener.predecessor_died())) {
        parts.about.awaits_memory = true;
        parts.timers.arm(parts.restore_timer, deadline_after(monotonic_now(), recovery_time_ns),
                         [this] { restore_durable(); });
    } else {
        restore_durable();
    }
    return true;
}

// What nobody has in memory any more. From here on what is missing is missing.
void Daemon::restore_durable() {
    Parts& parts = *parts_;
    parts.about.awaits_memory = false;
    for (const auto& [definition, of_this_boot] : std::exchange(parts.left_behind, {})) {
        if (parts.registry.has(definition.identity)) continue;
        const auto queue = parts.registry.restore(definition);
        if (queue) {
            log().info("queue {} comes back from its journal", definition.name);
        } else {
            log().error(
                "queue {} cannot be restored from its journal: {}; its files are left alone",
                definition.name, queue.error());
        }
    }
    parts.journals.end_restoring();
    declare_queues();
}

void Daemon::declare_queues() {
    for (const DeclaredQueue& queue : options_.queues)
        parts_->registry.declare(queue);
}

// The manager is told even where nothing comes of it: it waits for that.
void Daemon::reload() {
    parts_->store.say_reloading();
    parts_->about.reloads += 1;
    if (reload_ == nullptr) {
        log().info("there is nothing to load anew");
    } else if (ParsedOptions parsed = reload_(); parsed.complaints.empty()) {
        parts_->about.reload_failed = false;
        take_options(std::move(parsed.options));
        log().info("configuration reloaded: {} queues declared", options_.queues.size());
    } else {
        for (const std::string& complaint : parsed.complaints)
            log().error("{}", complaint);
        log().error("the configuration is not taken; the old one holds");
        parts_->about.reload_failed = true;
    }
    tell(parts_->about.reload_failed ? "reload_failed" : "reloaded", nullptr,
         parts_->about.reload_failed ? "the configuration is wrong; the old one holds"
                                     : "the configuration was read anew");
    parts_->store.say_ready();
}

void Daemon::listen_for_metrics() {
    const std::string wrong = parts_->metrics.listen(options_.metrics);
    if (!wrong.empty()) log().error("{}", wrong);
}

// What can change while the daemon runs; the rest is said.
void Daemon::take_options(Options options) {
    const auto fixed = [](const char* key, bool changed) {
        if (changed) log().warn("{}: the change needs a restart", key);
    };
    fixed("socket", options.socket != named_socket_);
    fixed("state_directory", options.state_directory != options_.state_directory);
    fixed("io", options.io != options_.io);
    fixed("keeper", options.keeper != options_.keeper);
    Parts& parts = *parts_;
    set_log_level(options.log_level);
    parts.accounts.change(options.quotas);
    parts.registry.set_defaults(options.queue_defaults);
    options_.log_level = std::move(options.log_level);
    options_.metrics = std::move(options.metrics);
    listen_for_metrics();
    options_.quotas = options.quotas;
    options_.idle_exit_ns = options.idle_exit_ns;
    parts.timers.disarm(parts.idle_timer);  // armed anew with the new time
    options_.queue_defaults = std::move(options.queue_defaults);
    options_.queues = std::move(options.queues);
    // Who may still be bringing queues back is waited for; then they are declared, too.
    if (!parts.restore_timer.armed()) declare_queues();
}

void Daemon::open_store() {
    Store& store = parts_->store;
    Fd keeper = take(survival_.inherited, std::string(kept::keeper));
    if (keeper || survival_.new_keeper != nullptr) {
        store.use_keeper(std::move(keeper), survival_.new_keeper);
    } else if (!survival_.manager.empty() && !store.use_manager(survival_.manager)) {
        log().warn("{} cannot be reached ({}): queues end with this process", survival_.manager,
                   std::strerror(errno));
    }
}

// Touches nothing that was left, so that another daemon can have it.
void Daemon::give_up() {
    parts_->supervisor.release_all();
    parts_->registry.release_all();
    parts_->listener.abandon();
    parts_.reset();
}

void Daemon::watch_controls() {
    Parts& parts = *parts_;
    parts.io->watch(parts.stop_source, stop_event_.get(), POLLIN, Priority::signal,
                    [&parts](unsigned) {
                        log().info("told to stop");
                        parts.stopping = true;
                        return Progress::drained;
                    });
    if (!parts.signals) return;
    parts.io->watch(parts.signal_source, parts.signals.get(), POLLIN, Priority::signal,
                    [this](unsigned) { return on_signal(); });
}

Progress Daemon::on_signal() {
    signalfd_siginfo info{};
    if (::read(parts_->signals.get(), &info, sizeof(info)) != sizeof(info)) {
        return Progress::drained;
    }
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGHUP) {
        log().info("SIGHUP from pid {}: reloading", info.ssi_pid);
        reload();
    } else {
        log().info("SIG{} from pid {}: ending", ::sigabbrev_np(number), info.ssi_pid);
        parts_->stopping = true;
    }
    return Progress::more;
}

// From the loop itself: a daemon that is stopped or goes round in circles falls silent; so does one
// whose journals' thread takes up nothing.
void Daemon::say_alive() {
    Parts& parts = *parts_;
    if (parts.journals.turn()) {
        parts.store.say_alive();
    } else {
        log().error("the journals' thread takes up no work: the watchdog is not fed");
    }
    parts.timers.arm(parts.alive_timer, deadline_after(monotonic_now(), survival_.watchdog_ns / 3),
                     [this] { say_alive(); });
}

int Daemon::run() {
    if (parts_ == nullptr && !start()) {
        log().error("{}", problem_);
        return 1;
    }
    Parts& parts = *parts_;
    // Of this thread, which need not be the one that started it.
    Events::set_current(&parts.events);
    while (!parts.stopping) {
        watch_idleness();
        const Nanoseconds waited = parts.io->round(parts.timers.next());
        parts.timers.run_due(monotonic_now());
        parts.server.bury();
        parts.metrics.bury();
        parts.about.rounds += 1;
        parts.about.busy_ns = monotonic_now() - parts.about.started_at - (waited_ += waited);
    }
    Events::set_current(nullptr);
    shut_down();
    return 0;
}

void Daemon::watch_idleness() {
    Parts& parts = *parts_;
    const bool idle = parts.session_count == 0 && parts.registry.size() == 0;
    if (options_.idle_exit_ns == 0 || idle == parts.idle_timer.armed()) return;
    if (!idle) return parts.timers.disarm(parts.idle_timer);
    parts.timers.arm(parts.idle_timer, deadline_after(monotonic_now(), options_.idle_exit_ns),
                     [&parts] {
                         log().info("idle, without queues: ending");
                         parts.stopping = true;
                     });
}

void Daemon::stop() {
    const std::uint64_t one = 1;
    // Full means that it was told already.
    if (::write(stop_event_.get(), &one, sizeof(one)) < 0) SHMQ_CHECK(errno == EAGAIN);
}

// The socket and its lock go last: until then nobody else can take them for free.
void Daemon::shut_down() {
    Parts& parts = *parts_;
    if (parts.registry.size() > 0) {
        log().warn("ends with {} queues: their messages last as long as their users do{}",
                   parts.registry.size(),
                   survival_.manager.empty() ? "" : ", or the service manager keeps them");
    }
    parts.metrics.stop();
    parts.server.stop();
    if (survival_.manager.empty()) drop_overflow(parts.registry, parts.journals);
    parts.dead_letters.stop();
    parts.supervisor.release_all();
    parts.registry.release_all();
    parts.timers.disarm(parts.idle_timer);
    parts.timers.disarm(parts.alive_timer);
    parts.timers.disarm(parts.restore_timer);
    // What the manager keeps of queues is for whoever it starts next; the socket ends with us.
    parts.store.drop(std::string(kept::listener));
    parts.store.drop(std::string(kept::lock));
    parts.store.say_last();
    SHMQ_CHECK(parts.timers.armed_count() == 0);
    parts.journals.stop();
    parts.io->forget(parts.signal_source);
    parts.io->forget(parts.stop_source);
    SHMQ_CHECK(parts.io->watched_count() == 0);
    parts.listener.close();
    log().info("shmqd (pid {}) ended", ::getpid());
    parts_.reset();
}

}  // namespace shmq::daemon

// shmq_demo [--keep] [FOLDER...]: every line of every file below some folders goes through one
// queue, from two producer processes to three consumer processes, while one consumer is stopped for
// a while and one is killed, and so is the daemon. Then the books are made. Exit: 0 nothing lost
// and every check held, 1 otherwise, 2 wrong usage.
//
// It runs a daemon of its own on a socket in a folder of its own, so it disturbs nobody's queues.
#include <shmq/client.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "books.hpp"
#include "processes.hpp"
#include "report.hpp"
#include "work.hpp"

namespace demo {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t producers = 2;
constexpr std::uint32_t consumers = 3;
constexpr std::uint32_t stopped_consumer = 1;
constexpr std::uint32_t killed_consumer = 2;
static_assert(consumers <= consumers_max);

constexpr const char* queue_name = "demo";
constexpr auto lease = 10s;
constexpr auto stopped_for = 400ms;  // well below the lease: its messages must stay its own
constexpr double stop_at = 0.25, kill_at = 0.5,
                 kill_daemon_at = 0.7;  // share of the input that was sent
constexpr auto kill_patience = 500ms;   // how long to wait for a moment when the victim holds any
constexpr unsigned watchdog_seconds = 120;
constexpr std::uint32_t kept_messages_max = 100;

volatile std::sig_atomic_t interrupted = 0;

struct Options {
    bool keep = false;
    std::vector<std::string> folders;
};

// The folder for socket and log; removed at the end unless it is to be kept.
class PrivateFolder {
  public:
    PrivateFolder() {
        const char* base = std::getenv("TMPDIR");
        path_ = std::string(base != nullptr && *base != 0 ? base : "/tmp") + "/shmq-demo-XXXXXX";
        if (::mkdtemp(path_.data()) == nullptr) {
            std::perror(path_.c_str());
            std::exit(1);
        }
    }
    ~PrivateFolder() {
        std::error_code ignored;
        if (!kept_) std::filesystem::remove_all(path_, ignored);
    }
    std::string file(const char* name) const { return path_ + "/" + name; }
    const std::string& path() const { return path_; }
    void keep() { kept_ = true; }

  private:
    std::string path_;
    bool kept_ = false;
};

class Demo {
  public:
    Demo(const Options& options, const Catalogue& input)
        : options_(options),
          input_(input),
          socket_(folder_.file("socket")),
          daemon_(Child::start(own_folder() + "shmqd", socket_, folder_.file("log"), options.keep)),
          work_{input, make_board(), socket_, queue_name} {
        ledgers_.reserve(consumers);
        set_watchdog(watchdog_seconds, daemon_.pid());
    }
    ~Demo() {
        client_.reset();
        if (!kept_) end_daemon();
    }

    bool run() {
        if (!connect() || !make_queue() || !start_children() || !carry()) return false;
        progress_.say("making the books");
        std::vector<std::vector<Receipt>> receipts;
        for (const Ledger& ledger : ledgers_)
            receipts.push_back(ledger.read());
        const bool good = print_report(measure(), make_books(input_, receipts));
        std::fflush(stdout);
        return good && (!options_.keep || leave_up());
    }

  private:
    bool failed(const std::string& what) {
        progress_.clear();
        std::fflush(stdout);
        std::fprintf(stderr, "shmq_demo: %s\n", what.c_str());
        return false;
    }
    bool failed(const char* doing, const shmq::Error& error) {
        return failed(std::string(doing) + ": " + error.message());
    }

    bool connect() {
        shmq::ConnectOptions options;
        options.socket = socket_;
        const auto give_up_at = Clock::now() + 10s;
        for (;;) {
            auto client = shmq::Client::connect(options);
            if (client) {
                client_.emplace(std::move(client).value());
                return true;
            }
            if (daemon_.ended() || Clock::now() > give_up_at || interrupted != 0) {
                std::ifstream log(folder_.file("log"));
                std::cerr << log.rdbuf() << std::flush;
                return failed("starting shmqd", client.error());
            }
            pause_for(5ms);
        }
    }

    bool make_queue() {
        shmq::QueueOptions options;
        options.capacity = 4096;
        options.slot_size = 256;  // nearly every line fits its slot, the others take a block
        options.max_message = std::max<std::uint64_t>(input_.largest_message(), 1 << 20);
        options.in_flight = 256;
        options.lease = lease;
        options.exact_timestamps = true;
        auto created = client_->create(queue_name, options);
        return created ? true : failed("create", created.error());
    }

    bool start_children() {
        for (std::uint32_t number = 0; number < consumers; ++number) {
            Ledger& ledger = ledgers_.emplace_back();
            consumers_.push_back(
                Child::run([this, number, &ledger] { return consume(work_, number, ledger); }));
        }
        for (std::uint32_t number = 0; number < producers; ++number)
            producers_.push_back(Child::run([this] { return produce(work_); }));
        while (work_.board.ready.load() < producers + consumers) {
            if (!all_well()) return false;
            pause_for(1ms);
        }
        started_ = Clock::now();
        work_.board.go.store(1);
        return true;
    }

    // Whether everybody still does what is expected of them.
    bool all_well() {
        if (interrupted != 0) return failed("interrupted");
        if (daemon_.ended()) return failed("shmqd has ended");
        for (std::uint32_t number = 0; number < consumers; ++number) {
            const bool expected = number == killed_consumer && killed_;
            if (consumers_[number].ended() && !expected && work_.board.finish.load() == 0) {
                return failed("consumer " + std::to_string(number + 1) + " has ended early");
            }
        }
        for (Child& producer : producers_) {
            if (producer.ended().value_or(0) != 0) return failed("a producer has failed");
        }
        return true;
    }

    bool carry() {
        while (!(stopped_ && continued_ && killed_ && daemon_killed_ && producers_ended() &&
                 drained())) {
            if (!all_well()) return false;
            disturb();
            progress_.show(share_sent(), received(),
                           std::chrono::duration<double>(Clock::now() - started_).count());
            pause_for(1ms);
        }
        work_.board.finish.store(1);
        for (std::uint32_t number = 0; number < consumers; ++number) {
            const auto status = consumers_[number].wait_until(Clock::now() + 10s);
            if (number == killed_consumer) continue;
            if (status.value_or(1) != 0) {
                return failed("consumer " + std::to_string(number + 1) + " did not end well");
            }
        }
        return true;
    }

    // Stops one consumer and lets it go on; kills another, and the daemon.
    void disturb() {
        const double share = share_sent();
        const auto now = Clock::now();
        if (!stopped_ && share >= stop_at) {
            consumers_[stopped_consumer].signal(SIGSTOP);
            stopped_ = true;
            continue_at_ = now + stopped_for;
            say_at(now, "consumer 2 stopped (SIGSTOP): the others go on, past what it holds");
        }
        if (stopped_ && !continued_ && now >= continue_at_) {
            consumers_[stopped_consumer].signal(SIGCONT);
            continued_ = true;
            say_at(now, "consumer 2 continued");
        }
        if (killed_ && !daemon_killed_ && share >= kill_daemon_at) kill_daemon(now);
        if (killed_ || share < kill_at) return;
        if (kill_by_ == TimePoint()) kill_by_ = now + kill_patience;
        const auto in_hand = work_.board.consumers[killed_consumer].in_hand.load();
        if (in_hand == 0 && now < kill_by_) return;
        work_.board.killed_at.store(static_cast<std::uint64_t>(
            std::chrono::nanoseconds(Clock::now().time_since_epoch()).count()));
        consumers_[killed_consumer].signal(SIGKILL);
        killed_ = true;
        say_at(now, "consumer 3 killed (SIGKILL), within a batch of " + std::to_string(in_hand) +
                        " messages");
    }

    // `daemon_` is its keeper, which starts another one; no process sees anything of it.
    void kill_daemon(TimePoint now) {
        const auto status = client_->status();
        if (!status) return;
        ::kill(static_cast<pid_t>(status->pid), SIGKILL);
        daemon_killed_ = true;
        say_at(now,
               "the daemon killed (SIGKILL): everybody goes on, and its keeper starts another");
    }

    void say_at(TimePoint now, const std::string& what) {
        char time[32];
        std::snprintf(time, sizeof(time), "  %5.2f s  ",
                      std::chrono::duration<double>(now - started_).count());
        progress_.say(time + what);
    }

    bool producers_ended() {
        for (Child& producer : producers_) {
            if (!producer.ended()) return false;
        }
        return true;
    }

    bool drained() {
        auto info = client_->describe(queue_name);
        return info && info->ready + info->leased + info->returned == 0;
    }

    double share_sent() const {
        const auto all = static_cast<double>(std::max<std::uint64_t>(1, input_.bytes()));
        return static_cast<double>(work_.board.bytes_read.load()) / all;
    }

    std::uint64_t received() const {
        std::uint64_t all = 0;
        for (const auto& consumer : work_.board.consumers)
            all += consumer.received.load();
        return all;
    }

    Run measure() const {
        Run run;
        run.messages = work_.board.sent.load();
        run.bytes = work_.board.sent_bytes.load();
        std::uint64_t last = 0;
        for (std::uint32_t number = 0; number < consumers; ++number) {
            const Board::Consumer& consumer = work_.board.consumers[number];
            last = std::max(last, consumer.last_ack.load());
            run.time_in_queue.add(consumer.time_in_queue);
        }
        const TimePoint end{std::chrono::nanoseconds(last)};
        run.seconds = std::chrono::duration<double>(end - started_).count();
        const auto redelivery = work_.board.first_redelivery.load();
        if (redelivery != 0) {
            run.kill_to_redelivery_ms =
                static_cast<double>(redelivery - work_.board.killed_at.load()) / 1e6;
        }
        return run;
    }

    // Some messages to play with, and how to reach them.
    bool leave_up() {
        auto producer = client_->producer(queue_name);
        if (!producer) return failed("producer", producer.error());
        std::string content, message;
        const std::uint32_t file = input_.size() - 1;
        if (!input_.read(file, content)) return failed("cannot read " + input_.path(file));
        shmq::Result<void> sent;
        for_each_line(content, [&](std::uint32_t line, std::string_view text) {
            if (line > kept_messages_max || !sent) return;
            write_message(message, input_.path(file), line, text);
            sent = producer->send(message);
        });
        if (!sent) return failed("send", sent.error());
        set_watchdog(0, 0);
        folder_.keep();
        daemon_.let_go();
        kept_ = true;
        std::printf(
            "\nThe daemon stays up. Its queue \"%s\" holds the beginning of %s.\n"
            "Paste this, then go on with the tour in README.md:\n\n"
            "export SHMQ_SOCKET=%s\n"
            "export PATH=%s:$PATH\n\n"
            "To end it: kill %d; rm -r %s\n",
            queue_name, input_.path(file).c_str(), socket_.c_str(),
            own_folder().substr(0, own_folder().size() - 1).c_str(), daemon_.pid(),
            folder_.path().c_str());
        return true;
    }

    void end_daemon() {
        daemon_.signal(SIGTERM);
        if (!daemon_.wait_until(Clock::now() + 5s)) daemon_.signal(SIGKILL);
    }

    const Options& options_;
    const Catalogue& input_;
    PrivateFolder folder_;
    std::string socket_;
    Child daemon_;
    Work work_;
    std::optional<shmq::Client> client_;
    std::vector<Ledger> ledgers_;
    std::vector<Child> consumers_, producers_;
    Progress progress_;
    TimePoint started_, continue_at_, kill_by_;
    bool stopped_ = false, continued_ = false, killed_ = false, kept_ = false;
    bool daemon_killed_ = false;
};

std::optional<Options> parse(int argument_count, char** arguments) {
    Options options;
    for (int i = 1; i < argument_count; ++i) {
        if (std::strcmp(arguments[i], "--keep") == 0) {
            options.keep = true;
        } else if (arguments[i][0] == '-') {
            return {};
        } else {
            options.folders.emplace_back(arguments[i]);
        }
    }
    if (options.folders.empty()) options.folders = {"/usr/include", "/usr/share/common-licenses"};
    return options;
}

int run(const Options& options) {
    for (const int number : {SIGINT, SIGTERM})
        std::signal(number, [](int) { interrupted = 1; });
    const Catalogue input(options.folders);
    for (const std::string& remark : input.remarks())
        std::printf("%s\n", remark.c_str());
    if (input.bytes() == 0) {
        std::fprintf(stderr, "shmq_demo: nothing to read; name folders with files in them\n");
        return 1;
    }
    std::printf("%s files, %s bytes: every line a message, %u producers, %u consumers, one queue\n",
                with_commas(input.size()).c_str(), with_commas(input.bytes()).c_str(), producers,
                consumers);
    std::fflush(stdout);
    return Demo(options, input).run() ? 0 : 1;
}

}  // namespace
}  // namespace demo

int main(int argument_count, char** arguments) {
    const auto options = demo::parse(argument_count, arguments);
    if (!options) {
        std::fprintf(stderr, "usage: shmq_demo [--keep] [FOLDER...]\n");
        return 2;
    }
    return demo::run(*options);
}

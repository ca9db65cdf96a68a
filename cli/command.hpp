// The table of verbs, and what all of them share: connecting, and how a verb ends. A verb is one
// file; it says its options in `prepare`, which returns what to do once the command line was
// understood. Verbs that cannot go on throw Failure.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <shmq/client.hpp>

#include "cli/options.hpp"

namespace shmq::cli {

// Exit statuses, for scripts: they do not change.
enum class Exit : int {
    done = 0,
    failed = 1,
    usage = 2,    // the command line, or a value in it, is wrong
    nothing = 3,  // nothing there, or the time ran out
    no_daemon = 4,
};

// Ends the program: `shmq: TEXT` on standard error, and that status.
class Failure : public std::exception {
  public:
    Failure(Exit status, std::string text) : status_(status), text_(std::move(text)) {}
    Exit status() const { return status_; }
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    Exit status_;
    std::string text_;
};

// A queue is not there. Where one of a similar name is, run() says so.
class QueueMissing : public Failure {
  public:
    using Failure::Failure;
};

// The status that goes with a condition of the library.
Exit status_of(Condition condition);
// `doing`: what failed, put before the error's own sentence; empty where that names the queue.
[[noreturn]] void fail(const Error& error, std::string_view doing = {});

template <typename T>
T need(Result<T> result, std::string_view doing = {}) {
    if (!result) fail(result.error(), doing);
    return std::move(result).value();
}
inline void need(const Result<void>& result, std::string_view doing = {}) {
    if (!result) fail(result.error(), doing);
}

struct Context {
    std::string socket;
    // The words after `--`, for verbs that take them (Verb::takes_tail).
    std::vector<std::string> tail;

    Client connect(bool start_daemon = true) const;
};

using Action = std::function<Exit()>;

struct Verb {
    std::string_view name;
    std::string_view summary;
    std::string_view example;  // lines for --help
    // The context lives until the action has ended.
    Action (*prepare)(Options& options, const Context& context);
    bool takes_tail = false;
};

// All verbs in the order of --help, which shows them in groups.
std::span<const Verb* const> verbs();
std::string_view group_of(const Verb& verb);

extern const Verb create_verb, ls_verb, info_verb, status_verb, rm_verb, purge_verb, send_verb,
    recv_verb, pending_verb, ack_verb, nack_verb, extend_verb, release_verb, dlq_verb, peek_verb,
    mv_verb, edit_verb, pause_verb, resume_verb, metrics_verb, events_verb, consumers_verb,
    stats_verb, dump_verb, audit_verb, doctor_verb, top_verb, export_verb, import_verb, bench_verb,
    journal_verb, chaos_verb, version_verb;

const Verb* find_verb(std::string_view name);  // null if there is none

// The whole program but for argv and the process: parse, run, report.
Exit run(std::span<const char* const> words);

}  // namespace shmq::cli

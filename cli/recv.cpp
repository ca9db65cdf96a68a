// shmq recv NAME: takes messages, prints them or feeds them to a command, and acks what was done.
// Exit: 0 done, 1 output or command failed, 3 nothing there or the time ran out before the count.
#include <algorithm>
#include <cstring>

#include <unistd.h>

#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/take.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr std::size_t batch_max = 256;  // two pieces each, well below what one writev takes

constexpr std::string_view example =
    "  shmq recv jobs\n"
    "  shmq recv jobs -n 10 --timeout 5s\n"
    "  shmq recv jobs --follow --exec 'xargs convert'\n"
    "  shmq recv jobs --follow --exec ./work --reject-on 65";

void give_back(std::span<Message> messages) {
    // Stale means that it went back already.
    for (Message& message : messages)
        static_cast<void>(message.nack());
}

// Prints batch after batch. Messages whose lease ran out meanwhile are counted and reported: others
// get them too.
class Printer {
  public:
    Printer(Consumer& consumer, Taker& taker, const StopSignals& stop, const RecvOptions& options)
        : consumer_(consumer),
          taker_(taker),
          stop_(stop),
          options_(options),
          writer_(STDOUT_FILENO, ending(options)),
          progress_(STDOUT_FILENO) {
        batch_.reserve(batch_max);
    }

    Exit run(LeaseClock& clock) {
        while (taker_.end() == Taker::End::none) {
            if (taker_.take(batch_, batch_max) > 0) print_batch(clock);
        }
        report_stale();
        return taker_.status();
    }

  private:
    static std::string_view ending(const RecvOptions& options) {
        if (options.raw) return {};
        return options.null ? std::string_view("\0", 1) : std::string_view("\n");
    }

    void print_batch(LeaseClock& clock) {
        const MessageWriter::Outcome outcome = writer_.write(batch_, [&] {
            if (clock.due()) extend_all();
            return !stop_.stopped();
        });
        const auto whole = std::span(batch_).first(outcome.whole);
        stale_ += whole.size() - consumer_.ack(whole);
        progress_.add(outcome.whole, outcome.bytes);
        const std::size_t left = batch_.size() - outcome.whole;
        give_back(std::span(batch_).subspan(outcome.whole));
        batch_.clear();
        if (outcome.os_error == 0) return;
        report_stale();
        throw Failure(
            Exit::failed,
            fmt::format("recv {}: standard output: {}; {} went back to the queue", options_.name,
                        std::strerror(outcome.os_error),
                        left == 1 ? std::string("1 message") : format_count(left) + " messages"));
    }

    void extend_all() {
        // One that is lost shows at its ack.
        for (Message& message : batch_)
            static_cast<void>(message.extend());
    }

    void report_stale() const {
        if (stale_ == 0) return;
        complain(fmt::format(
            "recv {}: {} printed after their lease had run out; they are delivered again",
            options_.name, format_count(stale_)));
    }

    Consumer& consumer_;
    Taker& taker_;
    const StopSignals& stop_;
    const RecvOptions& options_;
    MessageWriter writer_;
    Progress progress_;
    std::vector<Message> batch_;
    std::uint64_t stale_ = 0;
};

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<RecvOptions>();
    command.name(options->name);
    command.count("-n,--count", "COUNT",
                  "So many, waiting for them; without -n, --follow or --timeout: what is there",
                  options->patience.count);
    const auto timeout = command.duration(
        "--timeout", "Wait no longer than this for each next message", options->patience.timeout);
    const auto follow =
        command.flag("--follow", "Go on until SIGINT or SIGTERM", options->patience.follow);
    const auto null = command.flag(
        "-0,--null", "End each message with a NUL byte instead of a newline", options->null);
    const auto raw =
        command.flag("--raw", "The bytes alone, with nothing between messages", options->raw);
    const auto execute =
        command.text("--exec", "CMD",
                     "Run this shell command for each message, with the message as its standard "
                     "input; ack if it ends with status 0, else give the message back",
                     options->command);
    command.value("--reject-on", "STATUS",
                  "With --exec: reject a message whose command ends with this status, 1 to 255: it "
                  "goes to the dead-letter queue at once, and is no failure of recv",
                  [options](const std::string& text) {
                      const auto number = parse_size(text);
                      if (!number || *number == 0 || *number > 255) {
                          throw BadValue(fmt::format(
                              "'{}'; an exit status that rejects is 1 to 255", escape(text)));
                      }
                      options->reject_status = static_cast<int>(*number);
                  });
    Options::exclude(follow, timeout);
    Options::exclude(raw, null);
    Options::exclude(execute, null);
    return [options, &context] {
        if (options->reject_status && options->command.empty())
            throw Failure(Exit::usage, "recv: --reject-on is for --exec");
        return options->command.empty() ? receive_and_print(context, *options)
                                        : receive_and_execute(context, *options);
    };
}

}  // namespace

Exit receive_and_print(const Context& context, const RecvOptions& options) {
    Client client = context.connect();
    const QueueInfo queue = need(client.describe(options.name));
    hold_signals();
    Consumer consumer = need(client.consumer(options.name));
    StopSignals stop;
    stop.watch(consumer);
    LeaseClock clock(queue.options.lease);
    Taker taker(consumer, options.patience, stop, options.name);
    return Printer(consumer, taker, stop, options).run(clock);
}

constinit const Verb recv_verb{"recv", "Receive messages: print them, or run a command for each",
                               example, prepare};

}  // namespace shmq::cli

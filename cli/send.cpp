// shmq send NAME [MESSAGE...]: sends its arguments, else standard input, one message a line.
// Exit: 0 all sent, 1 not all sent (too big, full, removed, interrupted, unreadable), 3 no room
// or no confirm within --timeout. What was sent before an error stays sent, and the error says how
// many.
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/command_line.hpp"
#include "cli/listing.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/splitter.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct SendOptions {
    std::string name;
    std::vector<std::string> messages;
    std::string file;
    bool null = false;
    std::optional<std::chrono::nanoseconds> timeout;
    Durability confirm = Durability::accepted;
};

constexpr std::string_view example =
    "  shmq send jobs 'resize a.jpg' 'resize b.jpg'\n"
    "  find . -print0 | shmq send jobs --null\n"
    "  shmq send images --file photo.jpg";

// Gathers messages and sends them in batches. The bytes must stay until the next flush.
class Sender {
  public:
    Sender(Producer& producer, const SendOptions& options, const StopSignals& stop, int data_fd)
        : producer_(producer), options_(options), stop_(stop), progress_(data_fd) {
        batch_.reserve(batch_max);
    }

    void add(std::string_view message) {
        batch_.push_back(std::as_bytes(std::span(message.data(), message.size())));
        if (batch_.size() == batch_max) flush();
    }

    void flush() {
        std::span<const std::span<const std::byte>> left(batch_);
        while (!left.empty()) {
            // Each wait for room has the whole timeout: it says how long the queue may stand still.
            const Result<std::size_t> sent =
                options_.timeout ? producer_.send_batch_until(
                                       left, Producer::Deadline::clock::now() + *options_.timeout)
                                 : producer_.send_batch(left);
            if (stop_.stopped() && (!sent || *sent < left.size())) {
                count(left.first(sent ? *sent : 0));
                stopped();
            }
            if (!sent) fail_after_some(sent.error());
            count(left.first(*sent));
            left = left.subspan(*sent);
        }
        batch_.clear();
    }

    // Waits until all that was sent is as safe as --confirm asks; --timeout says how long.
    void await_confirm() {
        if (options_.confirm == Durability::accepted) return;
        const Result<void> confirmed =
            options_.timeout
                ? producer_.await_confirm_until(
                      options_.confirm, Producer::Deadline::clock::now() + *options_.timeout)
                : producer_.await_confirm(options_.confirm);
        if (confirmed) return;
        if (stop_.stopped()) stopped();
        throw failure(
            status_of(confirmed.error().condition()),
            fmt::format("not confirmed as {}: {}", name_of(durability_names, options_.confirm),
                        escape(confirmed.error().message())));
    }

    [[noreturn]] void stopped() const { throw failure(Exit::failed, "interrupted"); }

    Failure failure(Exit status, std::string_view why) const {
        return {status, fmt::format("send {}: {}{}", options_.name, why, so_far())};
    }

  private:
    static constexpr std::size_t batch_max = 1024;

    void count(std::span<const std::span<const std::byte>> sent) {
        std::uint64_t bytes = 0;
        for (const auto& message : sent)
            bytes += message.size();
        progress_.add(sent.size(), bytes);
    }

    [[noreturn]] void fail_after_some(const Error& error) const {
        throw failure(status_of(error.condition()), escape(error.message()));
    }

    std::string so_far() const {
        const std::uint64_t sent = progress_.messages();
        if (sent == 0) return {};
        return fmt::format("; {} sent before", format_count(sent));
    }

    Producer& producer_;
    const SendOptions& options_;
    const StopSignals& stop_;
    Progress progress_;
    std::vector<std::span<const std::byte>> batch_;
};

std::string too_big(std::string_view what, std::string_view size, std::uint64_t limit) {
    return fmt::format(
        "{} has {} bytes, the queue takes at most {}; send it in parts, or make a queue with a "
        "larger --max-message",
        what, size, format_count(limit));
}

// Reads some; 0 at the end of the input, nothing if told to stop.
std::optional<std::size_t> read_some(int fd, std::span<char> space, const StopSignals& stop,
                                     std::string_view file) {
    for (;;) {
        pollfd ready[2] = {{fd, POLLIN, 0}, {stop.fd(), POLLIN, 0}};
        if (::poll(ready, 2, -1) < 0 && errno != EINTR) break;
        if (stop.stopped()) return std::nullopt;
        const ssize_t size = ::read(fd, space.data(), space.size());
        if (size >= 0) return static_cast<std::size_t>(size);
        if (errno != EINTR && errno != EAGAIN) break;
    }
    throw Failure(Exit::failed, fmt::format("{}: {}", escape(file), std::strerror(errno)));
}

// The size of a message whose end has not come yet and that is too big already. Reads on to its
// end, but not for ever: the sender may be slow, or endless.
std::string measure(Splitter& splitter, int fd) {
    constexpr std::uint64_t measured_max = std::uint64_t{1} << 30;
    constexpr int patience_ms = 200;
    std::uint64_t size = 0;
    bool ended = splitter.skip_rest(size);
    while (!ended && size < measured_max) {
        pollfd ready{fd, POLLIN, 0};
        if (::poll(&ready, 1, patience_ms) <= 0) break;
        const std::span<char> space = splitter.space();
        const ssize_t got = ::read(fd, space.data(), space.size());
        if (got < 0) break;
        splitter.filled(static_cast<std::size_t>(got));
        ended = splitter.skip_rest(size) || got == 0;
    }
    return (ended ? "" : "more than ") + format_count(size);
}

void send_stream(Sender& sender, std::uint64_t limit, const SendOptions& options,
                 const StopSignals& stop) {
    const std::string_view unit = options.null ? "message" : "line";
    Splitter splitter(options.null ? '\0' : '\n');
    for (bool ended = false; !ended;) {
        const std::span<char> space = splitter.space();
        const auto size = read_some(STDIN_FILENO, space, stop, "standard input");
        if (!size) sender.stopped();
        splitter.filled(*size);
        ended = *size == 0;
        if (ended) splitter.finish();
        while (const auto message = splitter.next()) {
            if (message->size() > limit) {
                sender.flush();
                throw sender.failure(
                    Exit::failed,
                    too_big(fmt::format("{} {}", unit, format_count(splitter.count())),
                            format_count(message->size()), limit));
            }
            sender.add(*message);
        }
        sender.flush();
        if (splitter.rest() > limit) {
            const std::uint64_t number = splitter.count() + 1;
            throw sender.failure(Exit::failed,
                                 too_big(fmt::format("{} {}", unit, format_count(number)),
                                         measure(splitter, STDIN_FILENO), limit));
        }
    }
}

// The whole of a file, however long it turns out to be, up to the limit.
std::vector<char> read_whole(int fd, std::string_view file, std::uint64_t limit,
                             const Sender& sender, const StopSignals& stop) {
    constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
    struct stat about {};
    const bool regular = ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
    const std::uint64_t expected = regular ? static_cast<std::uint64_t>(about.st_size) : 0;
    if (expected > limit) {
        throw sender.failure(Exit::failed, too_big(escape(file), format_count(expected), limit));
    }
    // One byte more than expected: a read of 0 then says that this was all.
    std::vector<char> bytes(expected == 0 ? chunk_bytes : expected + 1);
    for (std::size_t end = 0;;) {
        if (end > limit) {
            throw sender.failure(Exit::failed,
                                 too_big(escape(file), "more than " + format_count(limit), limit));
        }
        if (end == bytes.size()) bytes.resize(bytes.size() * 2);
        const auto size = read_some(fd, std::span(bytes).subspan(end), stop, file);
        if (!size) sender.stopped();
        end += *size;
        if (*size == 0) {
            bytes.resize(end);
            return bytes;
        }
    }
}

void send_file(Sender& sender, std::uint64_t limit, const SendOptions& options,
               const StopSignals& stop) {
    const bool from_stdin = options.file == "-";
    const std::string file = from_stdin ? "standard input" : options.file;
    const int fd = from_stdin ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        throw Failure(Exit::failed, fmt::format("{}: {}", escape(file), std::strerror(errno)));
    }
    const std::vector<char> bytes = read_whole(fd, file, limit, sender, stop);
    ::close(fd);
    sender.add({bytes.data(), bytes.size()});
    sender.flush();
}

void send_arguments(Sender& sender, std::uint64_t limit, const SendOptions& options) {
    for (std::size_t i = 0; i < options.messages.size(); ++i) {
        const std::string& message = options.messages[i];
        if (message.size() > limit) {
            sender.flush();
            throw sender.failure(Exit::failed, too_big(fmt::format("argument {}", i + 1),
                                                       format_count(message.size()), limit));
        }
        sender.add(message);
    }
    sender.flush();
}

// Before anything is sent: a confirm that the queue never gives would be waited for for ever.
void check_confirm(Client& client, const SendOptions& options) {
    if (options.confirm == Durability::accepted) return;
    const Durability promised = need(client.describe(options.name)).options.durability;
    if (promised >= options.confirm) return;
    throw Failure(Exit::usage,
                  fmt::format("send {}: --confirm {}: the queue promises {} only; make one with "
                              "--durability {}",
                              options.name, name_of(durability_names, options.confirm),
                              name_of(durability_names, promised),
                              name_of(durability_names, options.confirm)));
}

Exit send(const Context& context, SendOptions& options) {
    for (std::string& message : options.messages)
        message = unmark(message);
    options.messages.insert(options.messages.end(), context.tail.begin(), context.tail.end());
    const bool arguments = !options.messages.empty();
    if (arguments && (options.null || !options.file.empty())) {
        throw Failure(Exit::usage,
                      "send: messages as arguments, --null (standard input) or --file; choose one");
    }
    Client client = context.connect();
    check_confirm(client, options);
    hold_signals();
    Producer producer = need(client.producer(options.name));
    StopSignals stop;
    stop.watch(producer);
    const bool silent = arguments || !options.file.empty();
    Sender sender(producer, options, stop, silent ? STDERR_FILENO : STDIN_FILENO);
    const std::uint64_t limit = producer.max_message();
    if (arguments) {
        send_arguments(sender, limit, options);
    } else if (!options.file.empty()) {
        send_file(sender, limit, options, stop);
    } else {
        send_stream(sender, limit, options, stop);
    }
    sender.await_confirm();
    return Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<SendOptions>();
    command.name(options->name);
    command.words("MESSAGE",
                  "Messages; without any: standard input, one message a line. What follows '--' is "
                  "a message, whatever it looks like",
                  options->messages);
    const auto null = command.flag(
        "-0,--null", "Standard input holds messages that end with a NUL byte", options->null);
    const auto file = command.text(
        "-f,--file", "FILE", "A whole file as one message; - is standard input", options->file);
    Options::exclude(null, file);
    command.duration("--timeout", "How long to wait for room (default: for ever)",
                     options->timeout);
    command.value("--confirm", "accepted|logged|durable",
                  "End only when all messages are as safe as that, in a queue whose --durability "
                  "promises it (default accepted)",
                  [&level = options->confirm](const std::string& text) {
                      level = named<Durability>(text, durability_names);
                  });
    return [options, &context] { return send(context, *options); };
}

}  // namespace

constinit const Verb send_verb{"send", "Send messages: arguments, lines, or a file", example,
                               prepare, true};

}  // namespace shmq::cli

// shmq top [NAME] [--interval DURATION] [--sort COLUMN] [--filter TEXT]: all queues, live, or one.
// Exit: 0, also by SIGINT or SIGTERM; 1 no terminal, 4 no daemon when it starts.
#include "cli/top.hpp"

#include <algorithm>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"

namespace shmq::cli {
namespace {

constexpr auto interval_least = std::chrono::milliseconds(100);
constexpr auto interval_most = std::chrono::seconds(60);
constexpr std::size_t page = 10;

struct TopOptions {
    std::string name;
    std::optional<std::chrono::nanoseconds> interval;
    TopView view;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq top\n"
    "  shmq top --sort unacked --filter orders\n"
    "  shmq top jobs";

class Top {
  public:
    Top(const Context& context, const TopOptions& options) : model_(context), view_(options.view) {
        view_.interval = options.interval.value_or(std::chrono::seconds(1));
        view_.selected = options.name;
        view_.detail = !options.name.empty();
        model_.refresh();  // without a daemon, before the screen changes
        if (view_.detail && model_.find(view_.selected) == nullptr) {
            throw QueueMissing(
                Exit::failed, fmt::format("there is no queue '{}' that you may see", options.name));
        }
        look();
    }

    Exit run() {
        const StopSignals stop;
        TopScreen screen;
        auto due = Clock::now() + view_.interval;
        while (!stop.stopped() && !done_) {
            select();
            view_.problem = typing_ ? "filter: " + view_.filter : problem_;
            screen.show(draw(model_, view_, members_, screen.columns(), screen.lines()));
            const auto left =
                std::chrono::ceil<std::chrono::milliseconds>(std::max(due - Clock::now(), {}));
            handle(screen.wait(left, typing_));
            if (Clock::now() < due && !again_) continue;
            again_ = false;
            look();
            due = Clock::now() + view_.interval;
        }
        return Exit::done;
    }

  private:
    using Clock = std::chrono::steady_clock;

    void look() {
        try {
            model_.refresh();
            members_.clear();
            if (view_.detail) members_ = model_.members(view_.selected);
            problem_.clear();
        } catch (const Failure& failure) {
            problem_ = failure.what();
        }
    }

    // The queue that is selected, or the first one where that has gone.
    void select() {
        const auto queues = arranged(model_, view_);
        if (model_.find(view_.selected) == nullptr) {
            view_.detail = false;
            view_.selected = queues.empty() ? "" : queues.front()->info.name;
        }
    }

    void move(std::ptrdiff_t by) {
        const auto queues = arranged(model_, view_);
        if (queues.empty()) return;
        const auto found = std::find_if(queues.begin(), queues.end(), [&](const QueueLook* each) {
            return each->info.name == view_.selected;
        });
        const std::ptrdiff_t place = found == queues.end() ? 0 : found - queues.begin();
        const std::ptrdiff_t last = static_cast<std::ptrdiff_t>(queues.size()) - 1;
        view_.selected =
            queues[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(place + by, 0, last))]
                ->info.name;
    }

    void handle(const TopScreen::Pressed& pressed) {
        using enum TopScreen::Key;
        switch (pressed.key) {
            case quit:
                done_ = true;
                break;
            case up:
                move(-1);
                break;
            case down:
                move(1);
                break;
            case page_up:
                move(-static_cast<std::ptrdiff_t>(page));
                break;
            case page_down:
                move(static_cast<std::ptrdiff_t>(page));
                break;
            case enter:
                if (!typing_) view_.detail = again_ = !view_.selected.empty();
                typing_ = false;
                break;
            case back:
                if (typing_) view_.filter.clear();
                typing_ = view_.detail = false;
                break;
            case sort:
                view_.sort =
                    static_cast<SortBy>((static_cast<std::size_t>(view_.sort) + 1) % sort_count);
                break;
            case reverse:
                view_.reverse = !view_.reverse;
                break;
            case filter:
                typing_ = !view_.detail;
                break;
            case text:
                view_.filter += pressed.letter;
                break;
            case erase:
                if (!view_.filter.empty()) view_.filter.pop_back();
                break;
            case faster:
                view_.interval =
                    std::max<std::chrono::nanoseconds>(view_.interval / 2, interval_least);
                break;
            case slower:
                view_.interval =
                    std::min<std::chrono::nanoseconds>(view_.interval * 2, interval_most);
                break;
            case none:
            case resized:
            case other:
                break;
        }
    }

    TopModel model_;
    TopView view_;
    std::vector<Member> members_;
    std::string problem_;
    bool typing_ = false;
    bool again_ = false;  // look at once
    bool done_ = false;
};

Exit print_once(const Context& context, const TopOptions& options) {
    TopModel model(context);
    model.refresh();
    std::this_thread::sleep_for(options.interval.value_or(std::chrono::seconds(1)));
    model.refresh();
    Json all = Json::array();
    for (const QueueLook* look : arranged(model, options.view)) {
        if (options.name.empty() || look->info.name == options.name) all.push(to_json(*look));
    }
    print(all.text());
    return Exit::done;
}

Exit show(const Context& context, const TopOptions& options) {
    if (options.json) return print_once(context, options);
    if (::isatty(STDOUT_FILENO) != 1 || ::isatty(STDIN_FILENO) != 1) {
        throw Failure(Exit::failed,
                      "top: this is no terminal; 'shmq stats --watch' or 'shmq top --json'");
    }
    return Top(context, options).run();
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<TopOptions>();
    command.optional_name(options->name, "Name of the queue to begin with (default: all)");
    command.duration("--interval", "How often to look (default 1s)", options->interval);
    command.value(
        "--sort", "COLUMN",
        "name, ready, leased, sent, acked, oldest, unacked, latency, spilled or consumers "
        "(default ready)",
        [options](const std::string& text) {
            static constexpr auto names = std::to_array<std::string_view>(
                {"name", "ready", "leased", "sent", "acked", "oldest", "unacked", "latency",
                 "spilled", "consumers"});
            static_assert(names.size() == sort_count);
            const auto found = std::find(names.begin(), names.end(), text);
            if (found == names.end()) {
                throw BadValue(fmt::format("'{}'; it is {}", escape(text), fmt::join(names, ", ")));
            }
            options->view.sort = static_cast<SortBy>(found - names.begin());
        });
    command.text("--filter", "TEXT", "Only queues with this in their names", options->view.filter);
    command.json(options->json);
    return [options, &context] { return show(context, *options); };
}

}  // namespace

constinit const Verb top_verb{"top", "Watch all queues, live", example, prepare};

}  // namespace shmq::cli

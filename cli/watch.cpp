#include "cli/watch.hpp"

#include <algorithm>
#include <utility>

#include <unistd.h>

#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"

namespace shmq::cli {
namespace {

// Collects what is printed as long as it lives.
class Collected {
  public:
    Collected() { collect_output(&text); }
    ~Collected() { collect_output(nullptr); }
    Collected(const Collected&) = delete;
    Collected& operator=(const Collected&) = delete;

    std::string text;
};

// Over what stands there, line by line, so that nothing flickers; no more lines than there are.
std::string as_screen(std::string_view text, std::size_t lines) {
    std::string out = "\x1b[H";
    for (std::size_t line = 1; !text.empty() && (lines == 0 || line < lines); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        out += text.substr(0, end);
        out += "\x1b[K\n";
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out + "\x1b[J";
}

}  // namespace

Action watched(Action action, std::chrono::nanoseconds every) {
    return [action = std::move(action), every] {
        const StopSignals stop;
        const bool terminal = ::isatty(STDOUT_FILENO) == 1;
        if (terminal) print("\x1b[H\x1b[2J");
        do {
            std::string text;
            {
                Collected collected;
                action();
                text = std::move(collected.text);
            }
            print(terminal ? as_screen(text, terminal_height()) : text);
        } while (stop.sleep(std::chrono::ceil<std::chrono::milliseconds>(every)));
        return Exit::done;
    };
}

}  // namespace shmq::cli

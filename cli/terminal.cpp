#include "cli/terminal.hpp"

#include <algorithm>
#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/color.h>

namespace shmq::cli {
namespace {

Colour wanted = Colour::automatic;

winsize size_of_terminal() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size : winsize{};
}

}  // namespace

void set_colour(Colour when) {
    wanted = when;
}

bool coloured() {
    if (wanted != Colour::automatic) return wanted == Colour::always;
    const char* refused = std::getenv("NO_COLOR");
    const char* kind = std::getenv("TERM");
    return (refused == nullptr || *refused == 0) && kind != nullptr && *kind != 0 &&
           std::string_view(kind) != "dumb" && ::isatty(STDOUT_FILENO) == 1;
}

std::size_t terminal_width() {
    return size_of_terminal().ws_col;
}

std::size_t terminal_height() {
    return size_of_terminal().ws_row;
}

std::string wrap(std::string_view text, std::size_t width) {
    if (width == 0) return std::string(text);
    std::string out;
    std::size_t column = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
        if (column > 0 && column + 1 + end > width) {
            out += '\n';
            column = 0;
        } else if (column > 0) {
            out += ' ';
            column += 1;
        }
        out += text.substr(0, end);
        column += end;
        if (end < text.size() && text[end] == '\n') {
            out += '\n';
            column = 0;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::string as_title(std::string_view text) {
    return fmt::format(fmt::emphasis::bold, "{}", text);
}

std::string as_alarm(std::string_view text) {
    return fmt::format(fmt::emphasis::bold | fmt::fg(fmt::terminal_color::red), "{}", text);
}

}  // namespace shmq::cli

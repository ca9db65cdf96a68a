// The only file that knows curses.
#include <clocale>
#include <cstdio>
#include <cstdlib>

// Functions, not macros named like everything.
#define NCURSES_NOMACROS
#include <curses.h>

#include "cli/terminal.hpp"
#include "cli/top.hpp"

namespace shmq::cli {
namespace {

SCREEN* screen = nullptr;  // there is one terminal

// Where the locale has no characters but ASCII, `…` would be three odd ones.
std::string in_locale(std::string text) {
    if (MB_CUR_MAX > 1) return text;
    for (std::size_t at = 0; (at = text.find("…", at)) != std::string::npos;)
        text.replace(at, std::string_view("…").size(), "~");
    return text;
}

TopScreen::Key key_of(int code) {
    using enum TopScreen::Key;
    switch (code) {
        case ERR:
            return none;
        case 'q':
        case 'Q':
            return quit;
        case KEY_UP:
        case 'k':
            return up;
        case KEY_DOWN:
        case 'j':
            return down;
        case KEY_PPAGE:
            return page_up;
        case KEY_NPAGE:
            return page_down;
        case '\n':
        case '\r':
        case KEY_ENTER:
            return enter;
        case 27:
        case 'b':
        case KEY_LEFT:
            return back;
        case 's':
            return sort;
        case 'r':
            return reverse;
        case '/':
            return filter;
        case '+':
            return faster;
        case '-':
            return slower;
        case KEY_RESIZE:
            return resized;
        default:
            return other;
    }
}

}  // namespace

TopScreen::TopScreen() {
    std::setlocale(LC_ALL, "");
    ::set_escdelay(25);
    screen = ::newterm(nullptr, stdout, stdin);
    if (screen == nullptr) {
        throw Failure(Exit::failed,
                      "top: this terminal is not known; set TERM, or use "
                      "'shmq stats --watch'");
    }
    ::set_term(screen);
    ::cbreak();
    ::noecho();
    ::keypad(stdscr, TRUE);
    ::curs_set(0);
    if (coloured() && ::has_colors()) {
        ::start_color();
        ::use_default_colors();
        ::init_pair(1, COLOR_RED, -1);
    }
}

TopScreen::~TopScreen() {
    ::endwin();
    ::delscreen(screen);
    screen = nullptr;
}

TopScreen::Pressed TopScreen::wait(std::chrono::milliseconds patience, bool typing) {
    ::timeout(static_cast<int>(patience.count()));
    const int code = ::getch();
    if (!typing || code == ERR || code == KEY_RESIZE) return {key_of(code), 0};
    if (code == KEY_BACKSPACE || code == 127 || code == 8) return {Key::erase, 0};
    if (code == 27) return {Key::back, 0};
    if (code == '\n' || code == '\r' || code == KEY_ENTER) return {Key::enter, 0};
    if (code > ' ' && code < 127) return {Key::text, static_cast<char>(code)};
    return {Key::other, 0};
}

std::size_t TopScreen::columns() const {
    return static_cast<std::size_t>(COLS);
}

std::size_t TopScreen::lines() const {
    return static_cast<std::size_t>(LINES);
}

void TopScreen::show(const std::vector<TopLine>& text) {
    ::erase();
    for (std::size_t i = 0; i < text.size() && i < lines(); ++i) {
        attr_t look = A_NORMAL;
        if (text[i].look == TopLine::Look::title) look = A_BOLD;
        if (text[i].look == TopLine::Look::selected) look = A_REVERSE;
        if (text[i].look == TopLine::Look::alarm) {
            const bool red = coloured() && ::has_colors();
            look = A_BOLD | (red ? static_cast<attr_t>(COLOR_PAIR(1)) : attr_t{A_NORMAL});
        }
        ::attrset(static_cast<int>(look));
        ::mvaddstr(static_cast<int>(i), 0, in_locale(text[i].text).c_str());
    }
    ::attrset(A_NORMAL);
    ::refresh();
}

}  // namespace shmq::cli

// What standard output is, and text made for it: colours on a terminal that wants them, lines as
// long as it is wide. Elsewhere text stays as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shmq::cli {

enum class Colour { automatic, always, never };
// What the user wants; `automatic` until somebody says.
void set_colour(Colour when);
// Whether to colour: where nothing else is said, on a terminal, not a dumb one, with NO_COLOR unset
// or empty.
bool coloured();
// Columns and lines of the terminal; 0: it is none, or does not say.
std::size_t terminal_width();
std::size_t terminal_height();

// Broken at blanks, so that no line is longer than `width` (longer words stay whole); 0: not at
// all.
std::string wrap(std::string_view text, std::size_t width);

// In the terminal's own colours.
std::string as_title(std::string_view text);
std::string as_alarm(std::string_view text);

}  // namespace shmq::cli

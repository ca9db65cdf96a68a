// What standard output is, and text made for it: colours on a terminal that wants them, lines as
// long as it is wide. Elsewhere text stays as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shmq::cli {

// Whether to colour: a terminal, not a dumb one, and NO_COLOR is unset or empty.
bool coloured();
// Columns of the terminal; 0: it is none, or does not say.
std::size_t terminal_width();

// Broken at blanks, so that no line is longer than `width` (longer words stay whole); 0: not at
// all.
std::string wrap(std::string_view text, std::size_t width);

// In the terminal's own colours.
std::string as_title(std::string_view text);
std::string as_alarm(std::string_view text);

}  // namespace shmq::cli

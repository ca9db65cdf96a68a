// Text that may hold anything, made fit for terminals and for JSON; and near misses of names.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shmq::cli {

// Where an invalid or incomplete UTF-8 sequence starts, or text.size() if all is valid.
std::size_t valid_utf8_prefix(std::string_view text);

// Printable text and valid UTF-8 stay; the rest is written so that no terminal acts on it:
// \n \t \r \\ and \xNN. Control characters hidden in UTF-8 (U+0080 to U+009F) are written as bytes.
std::string escape(std::string_view text);

std::string base64(std::string_view bytes);

// Sixteen bytes a line: offset, hex, and text where printable. Ends with a newline unless empty.
std::string hex_dump(std::string_view bytes);

// The name nearest to `word`, or empty if none is near enough to be what was meant.
std::string_view nearest(std::string_view word, std::span<const std::string_view> names);

}  // namespace shmq::cli

// Escaping of text that comes from files, file names and arguments. A message is one line of valid UTF-8 without
// control characters, so such text can neither forge a line of output nor send an escape sequence to the terminal.
//
// UserError applies printable() to its whole text. Other output (results, notes, warnings) has to call printable() or
// quote() for each text from outside.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace mpanet {

// Escapes control characters (\n, \t, \x1b, \u0085), bytes that are not UTF-8 (\xff), line separators and marks that
// change the direction of writing (\u2028, \u202e). A longer text is cut and ends in "...".
std::string printable(std::string_view text, size_t most_bytes = 8192);

// The same in quotes, for values: "a\nb". Quotes and backslashes inside are escaped; at most 80 bytes are shown.
std::string quote(std::string_view text);

}  // namespace mpanet

// Text from outside (file names, keys, values, arguments) made fit for a message. A message is one line of valid UTF-8
// without control characters, whatever a file holds: no line that looks like ours, no escape sequence on a terminal.
//
// UserError does this to its whole text, so that no message can be forgotten. What is printed in another way (results,
// notes, warnings) wraps what comes from outside by itself.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace mpanet {

// Plain text stays as it is. Escaped are control characters (\n, \t, \x1b, \u0085), bytes that are not UTF-8 (\xff),
// line separators and what changes the direction of writing (\u2028, \u202e). Longer text ends in "...".
std::string printable(std::string_view text, size_t most_bytes = 8192);

// The same in quotes, for values: "a\nb". Quotes and backslashes inside are escaped; at most 80 bytes are shown.
std::string quote(std::string_view text);

}  // namespace mpanet

// Text for messages and for shells.
#pragma once
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// Replaces fmt::join(), for which GCC 12 reports an overflow inside fmt when it vectorises for AVX-512.
inline std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ") {
  std::string text;
  for (const std::string& part : parts) {
    if (&part != parts.data()) text += separator;
    text += part;
  }
  return text;
}

// "1 epoch", "2 epochs". For other plurals: counted(n, "batch", "batches").
std::string counted(std::integral auto count, std::string_view one, std::string_view more = "") {
  std::string text = std::to_string(count) + " ";
  if (count == 1) return text.append(one);
  return more.empty() ? text.append(one) + "s" : text.append(more);
}

// A word that a shell (bash, zsh, ksh) reads as exactly this text.
std::string shell_quote(std::string_view text);
// A command line that can be pasted into a shell.
std::string shell_command(const std::vector<std::string>& words);

// Insertions, deletions, changes and swaps of neighbouring letters from a to b (Damerau-Levenshtein), ignoring case.
int edit_distance(std::string_view a, std::string_view b);
// Whether one text is probably a mistyped form of the other.
bool is_close(std::string_view a, std::string_view b);

}  // namespace mpanet

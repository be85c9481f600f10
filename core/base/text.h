// Words for people, and for a shell.
#pragma once
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// fmt::join makes GCC 12 warn of an overflow inside fmt where it vectorises for AVX-512.
inline std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ") {
  std::string text;
  for (const std::string& part : parts) {
    if (&part != parts.data()) text += separator;
    text += part;
  }
  return text;
}

// "1 epoch", "2 epochs"; counted(n, "batch", "batches") where an s alone does not do.
std::string counted(std::integral auto count, std::string_view one, std::string_view more = "") {
  std::string text = std::to_string(count) + " ";
  if (count == 1) return text.append(one);
  return more.empty() ? text.append(one) + "s" : text.append(more);
}

// A word that a shell (bash, zsh, ksh) reads as this text, whatever bytes are in it.
std::string shell_quote(std::string_view text);
// A command line that can be pasted into a shell.
std::string shell_command(const std::vector<std::string>& words);

// How many letters have to be put in, taken out, changed or swapped with their neighbour; case does not count.
int edit_distance(std::string_view a, std::string_view b);
// Whether one is likely to be a mistyped form of the other.
bool is_close(std::string_view a, std::string_view b);

}  // namespace mpanet

#include "core/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "core/base/quote.h"

namespace mpanet {
namespace {

bool is_plain(unsigned char c) {
  return std::isalnum(c) || std::string_view("_-./:,=+@%").find(c) != std::string::npos;
}

}  // namespace

std::string shell_quote(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
  std::string word;
  if (printable(text, std::string::npos) == text) {
    for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return "'" + word + "'";
  }
  // The text has bytes that a message would escape. $'...' writes each byte that is no plain character in octal.
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    word += is_plain(byte) ? std::string(1, c) : fmt::format("\\{:03o}", byte);
  }
  return "$'" + word + "'";
}

std::string shell_command(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(shell_quote(word));
  return join(quoted, " ");
}

int edit_distance(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  };
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); i++)
    for (size_t j = 0; j <= b.size(); j++) {
      if (i == 0 || j == 0) {
        d[i][j] = static_cast<int>(i + j);
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + !same(a[i - 1], b[j - 1])});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

bool is_close(std::string_view a, std::string_view b) {
  constexpr size_t kLongest = 200;  // bytes; edit_distance() is quadratic
  if (std::max(a.size(), b.size()) > kLongest) return false;
  return edit_distance(a, b) <= std::max<int>(1, static_cast<int>(std::min(a.size(), b.size())) / 3);
}

}  // namespace mpanet

// Parsing of decimal numbers in command lines and files. The whole text must be the number.
#pragma once
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace mpanet {

// "42", "-7" for a signed type. nullopt for an empty text, spaces, a plus sign, 0x10, 1e3, 1.0, numbers beyond Int.
template <class Int>
std::optional<Int> parse_whole(std::string_view text) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "0.5", "3", "1e-3". nullopt for spaces, a plus sign, 0x10, inf, nan, numbers beyond double.
inline std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "384x128" is (384, 128), both at least 1. nullopt for other texts.
inline std::optional<std::pair<int, int>> parse_size(std::string_view text) {
  const size_t x = text.find('x');
  if (x == text.npos) return std::nullopt;
  const auto height = parse_whole<int>(text.substr(0, x)), width = parse_whole<int>(text.substr(x + 1));
  if (!height || !width || *height < 1 || *width < 1) return std::nullopt;
  return std::pair(*height, *width);
}

}  // namespace mpanet

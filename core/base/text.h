// Joining words. (fmt::join makes GCC 12 warn of an overflow inside fmt where it vectorises for AVX-512.)
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

inline std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ") {
  std::string text;
  for (const std::string& part : parts) {
    if (&part != parts.data()) text += separator;
    text += part;
  }
  return text;
}

}  // namespace mpanet

#include "core/base/number_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/number.h"

namespace mpanet {

std::optional<std::vector<int>> parse_number_list(std::string_view text, int low, int high, std::string* why) {
  const auto refused = [why](std::string reason) {
    if (why) *why = std::move(reason);
    return std::nullopt;
  };
  refused("");
  std::vector<int> numbers;
  std::vector<bool> seen(static_cast<size_t>(high - low) + 1);
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    more = comma != text.npos;
    const std::string_view part = text.substr(0, comma);
    const size_t dots = part.find("..");
    const auto first = parse_whole<int>(part.substr(0, dots));
    const auto last = dots == part.npos ? first : parse_whole<int>(part.substr(dots + 2));
    if (!first || !last || std::min(*first, *last) < low || std::max(*first, *last) > high) return std::nullopt;
    if (*first > *last) return refused(fmt::format(", which has the range {} downwards", part));
    for (int number = *first; number <= *last; number++) {
      if (seen[static_cast<size_t>(number - low)]) return refused(fmt::format(", which has {} twice", number));
      seen[static_cast<size_t>(number - low)] = true;
      numbers.push_back(number);
    }
    if (more) text.remove_prefix(comma + 1);
  }
  return numbers;
}

}  // namespace mpanet

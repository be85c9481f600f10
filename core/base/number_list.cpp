#include "core/base/number_list.h"

#include <algorithm>

#include "core/base/number.h"

namespace mpanet {

std::optional<std::vector<int>> parse_number_list(std::string_view text, int low, int high) {
  std::vector<int> numbers;
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    more = comma != text.npos;
    const std::string_view part = text.substr(0, comma);
    const size_t dots = part.find("..");
    const auto first = parse_whole<int>(part.substr(0, dots));
    const auto last = dots == part.npos ? first : parse_whole<int>(part.substr(dots + 2));
    if (!first || !last || *first < low || *last > high || *first > *last) return std::nullopt;
    for (int number = *first; number <= *last; number++) {
      if (std::find(numbers.begin(), numbers.end(), number) != numbers.end()) return std::nullopt;
      numbers.push_back(number);
    }
    if (more) text.remove_prefix(comma + 1);
  }
  return numbers;
}

}  // namespace mpanet

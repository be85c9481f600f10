// Lists of integers on a command line: "1..10", "1,3,5..7".
#pragma once
#include <optional>
#include <string_view>
#include <vector>

namespace mpanet {

// In the text's order. nullopt for an empty text, anything but a number in low..high, a descending range, and a number
// given twice.
std::optional<std::vector<int>> parse_number_list(std::string_view text, int low, int high);

}  // namespace mpanet

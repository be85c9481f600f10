// Lists of whole numbers on a command line: "1..10", "1,3,5..7".
#pragma once
#include <optional>
#include <string_view>
#include <vector>

namespace mpanet {

// In the text's order. Nothing for an empty text, what is no number in low..high, a range that goes down, a number that
// stands twice.
std::optional<std::vector<int>> parse_number_list(std::string_view text, int low, int high);

}  // namespace mpanet

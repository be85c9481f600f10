// Lists of integers on a command line: "1..10", "1,3,5..7".
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// In the text's order. nullopt for an empty text, anything but a number in low..high, a descending range, and a number
// given twice. `why`: then ", which ..." about a descending range or a number given twice, else "".
std::optional<std::vector<int>> parse_number_list(std::string_view text, int low, int high, std::string* why = nullptr);

}  // namespace mpanet

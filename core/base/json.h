// The one reader of JSON from outside: configurations, headers, logs, provenance. Strict (no name twice in an object,
// no NUL byte, at most 32 levels), linear in the text's length, one-line errors with line and column.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mpanet {

// UserError that begins with `source`.
nlohmann::json parse_json(std::string_view text, const std::string& source);
// The same, with the names of objects in the text's order.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& source);
// Nothing where parse_json() would refuse.
std::optional<nlohmann::json> try_parse_json(std::string_view text);

// A value for an error message: short, one line, whatever it holds.
std::string shown(const nlohmann::json& value);

// Whether JSON can hold the text.
bool is_utf8(const std::string& text);

}  // namespace mpanet

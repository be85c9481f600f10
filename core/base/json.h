// The reader of all JSON from files: configurations, headers, logs, provenance. It is strict (no name twice in an
// object, no NUL byte, at most 32 levels) and linear in the text's length. Errors are one line with line and column.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mpanet {

// UserError, which begins with `source`, for invalid JSON.
nlohmann::json parse_json(std::string_view text, const std::string& source);
// The same, keeping the order of names in objects.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& source);
// nullopt when parse_json() would throw.
std::optional<nlohmann::json> try_parse_json(std::string_view text);

// A value as text for an error message: one short line.
std::string shown(const nlohmann::json& value);

// Whether the text is valid UTF-8, which JSON requires.
bool is_utf8(const std::string& text);

}  // namespace mpanet

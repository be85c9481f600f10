// JSON text from users: strict, one-line errors with line and column, no name twice.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mpanet {

// UserError that begins with `source`: broken JSON (line and column) or an object that names a key twice.
nlohmann::json parse_json(std::string_view text, const std::string& source);

// A value for an error message: short, one line, whatever it holds.
std::string shown(const nlohmann::json& value);
// A string for an error message: quoted, control characters escaped.
std::string quote(std::string_view text);

// Whether JSON can hold the text.
bool is_utf8(const std::string& text);

}  // namespace mpanet

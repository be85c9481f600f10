#include "core/base/json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "core/base/error.h"

namespace mpanet {
namespace {

using nlohmann::json;
constexpr size_t kShownCharacters = 80;
constexpr int kDeepest = 32;

std::string place(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte > 0 ? byte - 1 : 0, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  return fmt::format("line {}, column {}", line, before.size() - (start == before.npos ? 0 : start + 1) + 1);
}

}  // namespace

json parse_json(std::string_view text, const std::string& source) {
  std::vector<std::set<std::string>> open;  // the keys seen in every object around the current place
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > kDeepest) fail("{}: expected at most {} levels of nesting", source, kDeepest);
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second)
      fail("{}: the name {} is given twice", source, shown(value));
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& e) {
    fail("{}: expected JSON, broken at {}", source, place(text, e.byte));
  } catch (const json::exception&) {
    fail("{}: expected JSON, got a number out of range", source);
  }
}

std::string shown(const json& value) {
  const auto simple = [](const json& v) { return !v.is_structured(); };
  if (value.is_object()) return "an object";
  if (value.is_array() && !std::all_of(value.begin(), value.end(), simple)) return "a nested list";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kShownCharacters) text = text.substr(0, kShownCharacters) + "...";
  return text;
}

std::string quote(std::string_view text) { return shown(json(std::string(text))); }

bool is_utf8(const std::string& text) {
  try {
    return json(text).dump(), true;
  } catch (const json::type_error&) {
    return false;
  }
}

}  // namespace mpanet

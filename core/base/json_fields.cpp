#include "core/base/json_fields.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace mpanet {

using nlohmann::ordered_json;

JsonFields::JsonFields(const ordered_json& object, std::string file, std::string key)
    : object_(object), file_(std::move(file)), key_(std::move(key)) {
  if (!object.is_object())
    fail("{}{}: expected an object, got {}", file_, key_.empty() ? "" : ": " + key_, shown(nlohmann::json(object)));
}

std::string JsonFields::where(const std::string& name) const {
  return fmt::format("{}: {}{}{}", file_, key_, key_.empty() ? "" : ".", name);
}

void JsonFields::refuse(const std::string& name, const std::string& expected, const ordered_json* got) const {
  fail("{}: expected {}, got {}", where(name), expected, got == nullptr ? "none" : shown(nlohmann::json(*got)));
}

const ordered_json* JsonFields::find(const std::string& key) const {
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

std::string JsonFields::text(const std::string& key) const {
  const ordered_json* value = find(key);
  if (value == nullptr || !value->is_string()) refuse(key, "a text", value);
  return value->get<std::string>();
}

bool JsonFields::boolean(const std::string& key) const {
  const ordered_json* value = find(key);
  if (value == nullptr || !value->is_boolean()) refuse(key, "true or false", value);
  return value->get<bool>();
}

double JsonFields::number(const std::string& key, double low, double high) const {
  const ordered_json* value = find(key);
  const bool any = low == kLowest && high == kHighest;
  if (value == nullptr || !value->is_number() || value->get<double>() < low || value->get<double>() > high)
    refuse(key, any ? "a number" : fmt::format("a number in {}..{}", low, high), value);
  return value->get<double>();
}

std::optional<double> JsonFields::number_or_null(const ordered_json& value, const std::string& name, double low,
                                                 double high) const {
  if (value.is_null()) return std::nullopt;
  if (!value.is_number() || value.get<double>() < low || value.get<double>() > high)
    refuse(name, fmt::format("a number in {}..{} or null", low, high), &value);
  return value.get<double>();
}

std::optional<double> JsonFields::number_or_null(const std::string& key, double low, double high) const {
  const ordered_json* value = find(key);
  if (value == nullptr) refuse(key, fmt::format("a number in {}..{} or null", low, high), nullptr);
  return number_or_null(*value, key, low, high);
}

const ordered_json& JsonFields::list(const std::string& key) const {
  const ordered_json* value = find(key);
  if (value == nullptr || !value->is_array()) refuse(key, "a list", value);
  return *value;
}

JsonFields JsonFields::object(const std::string& key) const {
  const ordered_json* value = find(key);
  if (value == nullptr || !value->is_object()) refuse(key, "an object", value);
  return {*value, file_, key_.empty() ? key : key_ + "." + key};
}

}  // namespace mpanet

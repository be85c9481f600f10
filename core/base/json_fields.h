// The members of an object in a JSON file by name, type and range. Every error is one line: "FILE: KEY: expected a
// number in 0..100, got ...", where KEY has the keys of the objects around it: "results[0].mAP".
#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "core/base/json.h"

namespace mpanet {

class JsonFields {
 public:
  // `key`: the object's own, for messages; empty at the root. Both arguments must outlive this. UserError for a value
  // that is no object.
  JsonFields(const nlohmann::ordered_json& object, std::string file, std::string key = "");

  bool has(const std::string& key) const { return object_.contains(key); }
  const nlohmann::ordered_json& all() const { return object_; }

  // Each throws UserError for an absent key, another type, and a value out of range.
  std::string text(const std::string& key) const;
  bool boolean(const std::string& key) const;
  template <class Int>
  Int whole(const std::string& key, Int low = std::numeric_limits<Int>::min(),
            Int high = std::numeric_limits<Int>::max()) const;
  double number(const std::string& key, double low = kLowest, double high = kHighest) const;
  std::optional<double> number_or_null(const std::string& key, double low, double high) const;
  const nlohmann::ordered_json& list(const std::string& key) const;
  JsonFields object(const std::string& key) const;

  // The same for a value in a list; `name` is for messages.
  std::optional<double> number_or_null(const nlohmann::ordered_json& value, const std::string& name, double low,
                                       double high) const;
  template <class Int>
  Int whole(const nlohmann::ordered_json& value, const std::string& name, Int low, Int high) const;

  // UserError about `name`: "FILE: KEY: expected EXPECTED, got ...". A null pointer is an absent value.
  [[noreturn]] void refuse(const std::string& name, const std::string& expected,
                           const nlohmann::ordered_json* got) const;
  // "FILE: KEY", the beginning of a message about `name`.
  std::string where(const std::string& name) const;

 private:
  static constexpr double kLowest = std::numeric_limits<double>::lowest(),
                          kHighest = std::numeric_limits<double>::max();
  const nlohmann::ordered_json* find(const std::string& key) const;

  const nlohmann::ordered_json& object_;
  std::string file_, key_;
};

template <class Int>
Int JsonFields::whole(const nlohmann::ordered_json& value, const std::string& name, Int low, Int high) const {
  const bool fits = value.is_number_unsigned()  ? std::in_range<Int>(value.get<uint64_t>())
                    : value.is_number_integer() ? std::in_range<Int>(value.get<int64_t>())
                                                : false;
  if (!fits || value.get<Int>() < low || value.get<Int>() > high)
    refuse(name, "an integer in " + std::to_string(low) + ".." + std::to_string(high), &value);
  return value.get<Int>();
}

template <class Int>
Int JsonFields::whole(const std::string& key, Int low, Int high) const {
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) refuse(key, "an integer", nullptr);
  return whole<Int>(*value, key, low, high);
}

}  // namespace mpanet

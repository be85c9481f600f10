// The reader of YAML configurations: one mapping of names to scalars, lists and mappings. Needs libyaml (MPANET_YAML).
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

struct YamlEntry {
  std::string key;
  nlohmann::json value;
  size_t line = 0;  // of the key, from 1
};

// Whether this build has libyaml. Without it parse_yaml() throws UserError.
bool yaml_supported();

// The entries of the document's root in the file's order. Scalars become what PyYAML's safe loader makes of them (yes,
// on and True are true), but for numbers that are not decimal, which stay strings. A string that holds a Python number,
// tuple or list is that value, as yacs reads it: "(384, 128)" is [384, 128].
// UserError, "SOURCE line N: ...", for broken YAML, a second document, a root that is no mapping, a name given twice, a
// tag, an unknown alias, more than 8 levels of nesting, and more than 10,000 values with those of aliases counted.
std::vector<YamlEntry> parse_yaml(std::string_view text, const std::string& source);

}  // namespace mpanet

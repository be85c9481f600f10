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

// The entries of the document's root in the file's order. Scalars are converted like PyYAML's safe loader does (yes, on
// and True are true), except that numbers that are not decimal are strings. A string with a Python number, tuple or
// list becomes that value, as in yacs: "(384, 128)" is [384, 128]. UserError, "SOURCE line N: ...", for invalid YAML, a
// second document, a root that is not a mapping, a name given twice, a tag, an unknown alias, more than 8 levels of
// nesting, and more than 10,000 values including those of aliases.
std::vector<YamlEntry> parse_yaml(std::string_view text, const std::string& source);

}  // namespace mpanet

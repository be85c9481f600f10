// Configurations of the authors' code: their keys, and their defaults for keys that a file does not have
// (docs/using.md, "The authors' configuration files").
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "mpanet/config/config.h"

namespace mpanet {

// Reads a YAML file of the authors' keys. UserError, "SOURCE line N: KEY: ...", for a key that is not theirs, a value
// that is not allowed, and a key without an equivalent in mpanet, with the reason. Appends one line each to `remarks`
// about ignored keys, keys with another name in mpanet, and the authors' defaults that were used.
TrainConfig parse_authors_config(std::string_view text, const std::string& source, std::vector<std::string>& remarks);

// mpanet's equivalent of a key of the authors, for messages; empty for a key with the same name or a key that is not
// theirs.
std::string about_authors_key(const std::string& key);

}  // namespace mpanet

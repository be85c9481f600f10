// Configurations of the authors' code: their keys, and their defaults for keys that a file does not name
// (docs/using.md, "The authors' configuration files").
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "mpanet/training/config.h"

namespace mpanet {

// Reads a YAML file of the authors' keys. UserError, "SOURCE line N: KEY: ...", for a key that is not theirs, a value
// that is not allowed, and a key that mpanet cannot follow, with the reason. Appends to `remarks` one line each about
// what is ignored, what is named otherwise in mpanet, and which defaults of theirs were taken.
TrainConfig parse_authors_config(std::string_view text, const std::string& source, std::vector<std::string>& remarks);

// What mpanet has in place of a key of the authors, for messages; empty for a key that is called the same or is not
// theirs.
std::string about_authors_key(const std::string& key);

}  // namespace mpanet

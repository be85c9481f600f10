// The table of configuration keys: path, allowed values, field of TrainConfig and meaning of each. Parsing, range
// checks, --set, --help-config and the written configuration use it.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "mpanet/config/config.h"

namespace mpanet {

struct ConfigKey {
  std::string path;         // with '.' between levels: "data.pad_value"
  std::string allowed;      // "an integer in 1..64"
  std::string meaning;      // for --help-config
  bool changeable = false;  // may differ when a run is resumed
  bool list = false;        // takes a list: "--set lr_step=80,120" needs no brackets
  std::function<nlohmann::json(const TrainConfig&)> get;
  std::function<bool(TrainConfig&, const nlohmann::json&)> set;  // false for a value that is not allowed: no change
};

const std::vector<ConfigKey>& config_keys();
const ConfigKey* find_config_key(const std::string& path);  // null for an unknown one
// The known key most similar to a mistyped `path`; null when none is similar.
const ConfigKey* similar_config_key(const std::string& path);

}  // namespace mpanet

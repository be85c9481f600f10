// The table of configuration keys: one line each says how it is called, what it allows, where it lives in TrainConfig
// and what it means. Parsing, range checks, --set, --help-config and the written configuration all walk this table.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mpanet/training/config.h"

namespace mpanet {

struct ConfigKey {
  std::string path;         // with '.' between levels: "data.pad_value"
  std::string allowed;      // "an integer in 1..64"
  std::string meaning;      // for --help-config
  bool changeable = false;  // may differ when a run is resumed
  bool list = false;        // takes a list: "--set lr_step=80,120" needs no brackets
  std::function<nlohmann::json(const TrainConfig&)> get;
  std::function<bool(TrainConfig&, const nlohmann::json&)> set;  // false, and nothing changed: not an allowed value
};

const std::vector<ConfigKey>& config_keys();
const ConfigKey* find_config_key(const std::string& path);  // null for an unknown one
// The known key that `path` is probably a mistyped form of; null when it is like none.
const ConfigKey* similar_config_key(const std::string& path);

}  // namespace mpanet

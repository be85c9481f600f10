#include "mpanet/config/authors_config.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "mpanet/config/config_keys.h"
#include "mpanet/config/yaml.h"

namespace mpanet {
namespace {

using nlohmann::json;

// Keys that have mpanet's name and meaning, with the authors' defaults.
const std::vector<std::pair<std::string, json>>& same_keys() {
  static const std::vector<std::pair<std::string, json>> keys = {
      {"p_size", 16},
      {"k_size", 8},
      {"classification", true},
      {"center_cluster", false},
      {"triplet", false},
      {"center", false},
      {"margin", 0.3},
      {"weight_KL", 3.0},
      {"weight_sid", 1.0},
      {"weight_sep", 1.0},
      {"update_rate", 1.0},
      {"optimizer", "sgd"},
      {"lr", 0.1},
      {"wd", 5e-4},
      {"lr_step", {40}},
      {"num_epoch", 60},
      {"dataset", "sysu"},
      {"image_size", {384, 128}},
      {"random_flip", true},
      {"random_crop", true},
      {"random_erase", true},
      {"padding", 10},
      {"drop_last_stride", false},
      {"modality_attention", 0},
      {"mutual_learning", false},
      {"num_parts", 6},
      {"eval_interval", -1},
      {"start_eval", 60},
      {"log_period", 10},
      {"rerank", false},
  };
  return keys;
}

// Keys without an effect here, with the reason.
const std::map<std::string, std::string>& ignored_keys() {
  static const std::map<std::string, std::string> keys = {
      {"batch_size", "a batch has p_size times k_size pictures"},
      {"prefix", "--out names the run"},
      {"resume", "--resume and --init are options"},
      {"num_id", "the data set says it"},
      {"num_cam", "the data set says it"},
      {"data_root", "--data is an option"},
  };
  return keys;
}

class AuthorsConfig {
 public:
  AuthorsConfig(const std::vector<YamlEntry>& entries, const std::string& source) : source_(source) {
    for (const YamlEntry& entry : entries) entries_[entry.key] = &entry;
    for (const YamlEntry& entry : entries) check_known(entry);
  }

  TrainConfig translate(std::vector<std::string>& remarks) {
    refuse_other_data_sets();
    for (const auto& [key, standard] : same_keys()) set(key, key, value_of(key, standard));
    const bool f16 = flag("fp16", false);
    set("fp16", "precision", f16 ? "f16" : "f32");
    if (f16) translated_.push_back("fp16 true is precision f16");
    if (!flag("pattern_attention", false)) {
      set("num_parts", "num_parts", 0);
      translated_.push_back("pattern_attention false is num_parts 0");
    }
    refuse_unless("color_jitter", false, "brightness, contrast and saturation are never changed here");
    refuse_unless("sample_method", "identity_random", "batches are drawn by identity here (docs/method.md, section 3)");
    const auto say = [&](const char* what, const std::vector<std::string>& list) {
      if (!list.empty()) remarks.push_back(fmt::format("{}: {}: {}", source_, what, join(list, "; ")));
    };
    say("ignored", ignored_);
    say("here", translated_);
    say("not in the file, the authors' defaults", defaults_);
    return config_;
  }

 private:
  void check_known(const YamlEntry& entry) {
    const std::string& key = entry.key;
    const auto is_key = [&](const auto& known) { return known.first == key; };
    if (const auto why = ignored_keys().find(key); why != ignored_keys().end()) {
      ignored_.push_back(fmt::format("{} in line {} ({})", key, entry.line, why->second));
      return;
    }
    if (std::any_of(same_keys().begin(), same_keys().end(), is_key) || !about_authors_key(key).empty()) return;
    if (find_config_key(key) != nullptr)
      fail("{} line {}: {} is a key of mpanet and none of the authors': use --set {}=..., or a JSON file", source_,
           entry.line, key, key);
    std::string nearest;
    for (const auto& [known, standard] : same_keys())
      if (is_close(key, known)) nearest = fmt::format(", the nearest known key is \"{}\"", known);
    fail("{} line {}: unknown key {}{}", source_, entry.line, quote(key),
         nearest.empty() ? ": a YAML file holds the authors' keys (docs/using.md)" : nearest);
  }

  std::string where(const std::string& key) const {
    const auto entry = entries_.find(key);
    return entry == entries_.end() ? source_ : fmt::format("{} line {}", source_, entry->second->line);
  }

  json value_of(const std::string& key, const json& standard) {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) {
      defaults_.push_back(key + " " + standard.dump());
      return standard;
    }
    return entry->second->value;
  }

  bool flag(const std::string& key, bool standard) {
    const json value = value_of(key, standard);
    if (!value.is_boolean()) fail("{}: {}: expected true or false, got {}", where(key), key, shown(value));
    return value;
  }

  // Sets mpanet's key `path` from the authors' `key`.
  void set(const std::string& key, const std::string& path, json value) {
    if (key == "eval_interval" && value.is_number_integer() && value < 0) value = 0;  // both: none
    const ConfigKey* const known = find_config_key(path);
    MPANET_CHECK(known != nullptr, "{}", path);
    if (!known->set(config_, value)) fail("{}: {}: expected {}, got {}", where(key), key, known->allowed, shown(value));
  }

  void refuse_unless(const std::string& key, const json& only, const std::string& why) {
    const auto entry = entries_.find(key);
    if (entry != entries_.end() && entry->second->value != only)
      fail("{}: {}: expected {}, got {}: {}", where(key), key, shown(only), shown(entry->second->value), why);
  }

  // The authors' code has sysu, regdb and market, a data set of one modality. mpanet's key allows other values.
  void refuse_other_data_sets() const {
    const auto entry = entries_.find("dataset");
    if (entry != entries_.end() && entry->second->value != "sysu" && entry->second->value != "regdb")
      fail("{}: dataset: expected \"sysu\" or \"regdb\", got {}", where("dataset"), shown(entry->second->value));
  }

  const std::string& source_;
  std::map<std::string, const YamlEntry*> entries_;
  TrainConfig config_;
  std::vector<std::string> ignored_, translated_, defaults_;
};

}  // namespace

TrainConfig parse_authors_config(std::string_view text, const std::string& source, std::vector<std::string>& remarks) {
  const std::vector<YamlEntry> entries = parse_yaml(text, source);
  return AuthorsConfig(entries, source).translate(remarks);
}

std::string about_authors_key(const std::string& key) {
  static const std::map<std::string, std::string> others = {
      {"fp16", "precision \"f16\" for true"},
      {"pattern_attention", "num_parts 0 for false"},
      {"color_jitter", "none: colours are never changed"},
      {"sample_method", "none: batches are drawn by identity"},
  };
  if (const auto found = others.find(key); found != others.end()) return found->second;
  const auto ignored = ignored_keys().find(key);
  return ignored == ignored_keys().end() ? "" : "none: " + ignored->second;
}

}  // namespace mpanet

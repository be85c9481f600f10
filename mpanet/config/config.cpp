#include "mpanet/config/config.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/quote.h"
#include "mpanet/config/authors_config.h"
#include "mpanet/config/config_keys.h"

namespace mpanet {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

bool is_yaml(const std::string& path, std::string_view text) {
  if (path.ends_with(".yml") || path.ends_with(".yaml")) return true;
  if (path.ends_with(".json")) return false;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return false;
  const char c = text[first];
  return c == '#' || c == '-' || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

[[noreturn]] void fail_unknown(const std::string& source, const std::string& path) {
  if (const std::string here = about_authors_key(path); !here.empty())
    fail("{}: {} is a key of the authors' files (.yml); mpanet has {}", source, path, here);
  if (const ConfigKey* similar = similar_config_key(path))
    fail("{}: unknown key {}, the nearest known key is \"{}\"", source, quote(path), similar->path);
  fail("{}: unknown key {} (mpanet-train --help-config lists all keys)", source, quote(path));
}

// `where` begins the message: the source and the key.
void apply(TrainConfig& config, const ConfigKey& key, const json& value, const std::string& where) {
  if (!key.set(config, value)) fail("{}: expected {}, got {}", where, key.allowed, shown(value));
}

// Parses a value from the command line.
json value_of(const ConfigKey& key, const std::string& text) {
  const bool bare_list = key.list && (text.empty() || text.front() != '[');
  // JSON allows spaces around a number, a command line does not.
  const bool spaced = text.starts_with(' ') || text.ends_with(' ');
  const auto value = spaced ? std::nullopt : try_parse_json(bare_list ? "[" + text + "]" : text);
  return value.value_or(json(text));
}

bool is_group(const std::string& path) {
  for (const ConfigKey& key : config_keys())
    if (key.path.starts_with(path + ".")) return true;
  return false;
}

void apply_object(TrainConfig& config, const json& object, const std::string& prefix, const std::string& source) {
  for (const auto& [name, value] : object.items()) {
    const std::string path = prefix + name;
    const ConfigKey* key = name.find('.') == name.npos ? find_config_key(path) : nullptr;
    if (key) {
      apply(config, *key, value, source + ": " + path);
    } else if (is_group(path)) {
      if (!value.is_object()) fail("{}: {}: expected an object, got {}", source, path, shown(value));
      apply_object(config, value, path + ".", source);
    } else if (find_config_key(path)) {  // the file has the dotted path "data.padding" as one key
      fail("{}: unknown key {}: in a file levels are nested objects, dots are for --set", source, quote(path));
    } else {
      fail_unknown(source, path);
    }
  }
}

// The whole configuration as nested objects. Json = ordered_json keeps the table's order, json sorts the keys.
template <class Json>
Json to_json(const TrainConfig& config) {
  Json all = Json::object();
  for (const ConfigKey& key : config_keys()) {
    Json* at = &all;
    size_t start = 0;
    for (size_t dot; (dot = key.path.find('.', start)) != key.path.npos; start = dot + 1)
      at = &(*at)[key.path.substr(start, dot - start)];
    (*at)[key.path.substr(start)] = Json(key.get(config));
  }
  return all;
}

}  // namespace

AugmentConfig TrainConfig::augment() const {
  AugmentConfig augment;
  if (!random_flip) augment.flip_probability = 0;
  if (!random_erase) augment.erase_probability = 0;
  augment.padding = random_crop ? padding : 0;
  augment.pad_value = pad_value;
  return augment;
}

double TrainConfig::learning_rate(int epoch) const {
  double rate = lr;
  for (int step : lr_step)
    if (epoch > step) rate *= 0.1;
  return rate;
}

bool TrainConfig::evaluates_after(int epoch) const {
  if (eval_interval == 0) return false;
  return epoch == num_epoch || (epoch > start_eval && epoch % eval_interval == 0);
}

TrainConfig parse_config(std::string_view text, const std::string& source) {
  const json object = parse_json(text, source);
  if (!object.is_object()) fail("{}: expected a JSON object, got {}", source, shown(object));
  TrainConfig config;
  apply_object(config, object, "", source);
  return config;
}

TrainConfig read_config(const std::string& path, std::vector<std::string>* remarks) {
  const std::string text = read_text(path);
  if (!is_yaml(path, text)) return parse_config(text, path);
  std::vector<std::string> unheard;
  return parse_authors_config(text, path, remarks != nullptr ? *remarks : unheard);
}

void set_config(TrainConfig& config, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0) fail("--set: expected key=value, got {}", quote(assignment));
  const std::string path = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  const ConfigKey* key = find_config_key(path);
  if (!key && is_group(path)) fail("--set: {} is a group of keys; expected {}.KEY=VALUE", path, path);
  if (!key) fail_unknown("--set", path);
  apply(config, *key, value_of(*key, text), "--set: " + path);
}

void set_config_key(TrainConfig& config, const std::string& path, const std::string& text) {
  const ConfigKey* key = find_config_key(path);
  MPANET_CHECK(key != nullptr, "no key {}", path);
  apply(config, *key, value_of(*key, text), "--" + path);
}

void check_config(const TrainConfig& config, const std::string& source) {
  try {
    check_image_size(config.model);
    if (!config.model.has_loss())
      fail(
          "the loss has no term left: expected one of center_cluster, classification, mutual_learning, triplet, center "
          "or num_parts of 2 and more, with a weight above 0");
  } catch (const UserError& e) {
    fail("{}: {}", source, e.what());
  }
  if (config.split > splits_of(config.dataset))
    fail("{}: split: expected 1, as {} has one split, got {}", source, name_of(config.dataset), config.split);
}

void check_unseen(const TrainConfig& trained, DatasetKind test, int split, const std::string& source) {
  if (trained.dataset != DatasetKind::RegDb || test != DatasetKind::RegDb || trained.split == split) return;
  fail(
      "{}: expected a model trained on split {} of RegDB, got one trained on split {}: it has seen people of this test",
      source, split, trained.split);
}

std::string config_file_text(const TrainConfig& config) { return to_json<ordered_json>(config).dump(2) + "\n"; }
std::string config_line(const TrainConfig& config) { return to_json<json>(config).dump(); }

void keep_precision(const TrainConfig& before, TrainConfig& now) {
  if (!now.precision) now.precision = before.precision;
}

std::vector<std::string> fixed_differences(const TrainConfig& before, const TrainConfig& now) {
  std::vector<std::string> paths;
  for (const ConfigKey& key : config_keys())
    if (!key.changeable && key.get(before) != key.get(now)) paths.push_back(key.path);
  return paths;
}

std::vector<std::string> changeable_keys() {
  std::vector<std::string> paths;
  for (const ConfigKey& key : config_keys())
    if (key.changeable) paths.push_back(key.path);
  return paths;
}

std::string config_table() {
  const TrainConfig defaults;
  std::string text = "| key | default | allowed | meaning | may change on `--resume` |\n|---|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys())
    text += fmt::format("| `{}` | `{}` | {} | {} | {} |\n", key.path, key.get(defaults).dump(), key.allowed,
                        key.meaning, key.changeable ? "yes" : "");
  return text;
}

std::string config_help() {
  const TrainConfig defaults;
  std::string text;
  for (const ConfigKey& key : config_keys())
    text += fmt::format("{} (default {})\n    {}{}\n    {}\n", key.path, key.get(defaults).dump(), key.allowed,
                        key.changeable ? "; may change on --resume" : "", key.meaning);
  return text;
}

}  // namespace mpanet

#include "mpanet/training/resume.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/json.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "mpanet/config/config_keys.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The text under `key`; empty when the file has none, or null if `nullable`.
std::string text_of(const json& inputs, const char* key, const std::string& file, const char* expected = "a path",
                    bool nullable = false) {
  const auto found = inputs.find(key);
  if (found == inputs.end() || (nullable && found->is_null())) return "";
  if (!found->is_string())
    fail("{}: {}: expected {}{}, got {}", file, key, expected, nullable ? " or null" : "", shown(*found));
  return *found;
}

std::string absolute(const std::string& path) { return path.empty() ? "" : fs::absolute(path).string(); }

// The argument of --set for a key; strings without JSON's quotation marks.
std::string setting(const ConfigKey& key, const TrainConfig& config) {
  const json value = key.get(config);
  return key.path + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
}

// A folder name that does not exist yet, next to the run: "first-2".
std::string free_name(const std::string& run) {
  std::error_code error;
  for (int i = 2;; i++)
    if (const std::string name = fmt::format("{}-{}", run, i); !fs::exists(name, error)) return name;
}

// A path that cannot be taken for an option: "-x" becomes "./-x".
std::string as_argument(const std::string& path) { return path.starts_with('-') ? "./" + path : path; }

void add_inputs(std::vector<std::string>& words, const TrainOptions& options) {
  if (!options.data.empty()) words.insert(words.end(), {"--data", as_argument(options.data)});
  if (!options.trials.empty()) words.insert(words.end(), {"--trials", as_argument(options.trials)});
}

}  // namespace

RunInputs read_inputs(const std::string& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  const json all = parse_json(read_text(file), file);
  if (!all.is_object()) fail("{}: expected an object, got {}", file, shown(all));
  RunInputs inputs = {.data = text_of(all, "data", file),
                      .trials = text_of(all, "trials", file),
                      .protocol = text_of(all, "protocol", file, "a protocol such as sysu"),
                      .initial = {}};
  if (all.contains("init_sha256"))
    inputs.initial = {.path = text_of(all, "init", file, "a path", true),
                      .sha256 = text_of(all, "init_sha256", file, "a hash", true)};
  return inputs;
}

void write_inputs(const RunInputs& inputs, const std::string& file) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const auto& [key, path] : {std::pair("data", inputs.data), std::pair("trials", inputs.trials)})
    if (!path.empty() && is_utf8(absolute(path))) all[key] = absolute(path);
  if (!inputs.protocol.empty()) all["protocol"] = inputs.protocol;
  if (inputs.initial) {
    const auto& [path, hash] = *inputs.initial;
    const auto text_or_null = [](const std::string& text) { return text.empty() ? json() : json(text); };
    if (is_utf8(path)) all["init"] = text_or_null(path);
    all["init_sha256"] = text_or_null(hash);
  }
  write_file(file, all.dump(2) + "\n");
}

InitialWeights initial_weights(const std::string& path) {
  std::error_code error;
  const bool once = path.empty() || (fs::exists(path, error) && !fs::is_regular_file(path, error));
  return {absolute(path), once ? "" : sha256_of_file(path)};
}

void take_inputs(TrainOptions& options, const RunInputs& inputs) {
  if (options.trials.empty()) options.trials = inputs.trials;
  if (!options.data.empty()) return;
  options.data = inputs.data;
  options.data_from_run = true;
}

void check_inputs(const TrainOptions& options) {
  if (options.data.empty()) fail("--data is needed: {} does not know its data set", options.out);
  if (options.data_from_run && !path_exists(options.data))
    fail("{}: the data set of {} is no longer there; where is it now? (--data)", options.data, options.out);
}

std::string resume_command(const TrainOptions& options) {
  if (!options.go_on.empty()) return options.go_on;
  std::vector<std::string> words = {options.program, "--out", as_argument(options.out), "--resume"};
  // inputs.json cannot hold a path that is not UTF-8.
  if (!is_utf8(options.data) || !is_utf8(options.trials)) add_inputs(words, options);
  words.insert(words.end(), options.repeated.begin(), options.repeated.end());
  return shell_command(words);
}

std::string new_run_command(const TrainOptions& options, const std::string& config_file, const TrainConfig& wanted,
                            const std::string& last) {
  std::vector<std::string> words = {options.program, "--config", as_argument(config_file)}, changes;
  const TrainConfig base = read_config(config_file);
  for (const ConfigKey& key : config_keys())
    if (key.get(base) != key.get(wanted)) changes.push_back(setting(key, wanted));
  if (!changes.empty()) words.push_back("--set");
  words.insert(words.end(), changes.begin(), changes.end());
  add_inputs(words, options);
  words.insert(words.end(), {"--init", as_argument(last), "--out", as_argument(free_name(options.out))});
  words.insert(words.end(), options.repeated.begin(), options.repeated.end());
  return shell_command(words);
}

}  // namespace mpanet

#include "mpanet/training/experiment.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "core/base/text.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/training/config_keys.h"
#include "mpanet/training/experiment_summary.h"
#include "mpanet/training/run_folder.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

// One value on one axis of the experiment.
struct Choice {
  std::string name, setting;
};
using Axis = std::vector<Choice>;

// A value's text for --set, and for a folder's name.
std::string setting_text(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string folder_text(std::string text) {
  for (char& c : text)
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
        std::string_view("._=,-").find(c) == std::string_view::npos)
      c = '_';
  return text;
}

Axis number_axis(const char* key, const std::vector<int>& numbers) {
  Axis axis;
  for (const int number : numbers)
    axis.push_back({fmt::format("{}-{}", key, number), fmt::format("{}={}", key, number)});
  return axis;
}

Axis sweep_axis(const std::string& file, const std::string& path, const json& values) {
  const ConfigKey* key = find_config_key(path);
  if (!key) fail("{}: unknown key {} (mpanet-train --help-config lists all keys)", file, quote(path));
  if (!values.is_array() || values.empty())
    fail("{}: {}: expected a list of values, got {}", file, path, shown(values));
  Axis axis;
  std::set<std::string> seen;
  for (const json& value : values) {
    TrainConfig tried;
    if (!key->set(tried, value)) fail("{}: {}: expected {}, got {}", file, path, key->allowed, shown(value));
    const std::string setting = path + "=" + setting_text(value);
    if (!seen.insert(setting).second) fail("{}: {}: the value {} stands twice", file, path, shown(value));
    axis.push_back({folder_text(setting), setting});
  }
  return axis;
}

std::vector<Axis> sweep_axes(const ExperimentOptions& options) {
  if (options.sweep.empty()) return {};
  const ordered_json sweep = parse_ordered_json(read_text(options.sweep), options.sweep);
  if (!sweep.is_object() || sweep.empty())
    fail("{}: expected an object with lists of values by key, got {}", options.sweep, shown(json(sweep)));
  std::vector<Axis> axes;
  for (const auto& [path, values] : sweep.items()) {
    if ((path == "split" && !options.splits.empty()) || (path == "seed" && !options.seeds.empty()))
      fail("{}: {}: --{}s gives it too", options.sweep, path, path);
    axes.push_back(sweep_axis(options.sweep, path, json(values)));
  }
  return axes;
}

// All combinations of the runs with the axis's values, in the axis's order.
std::vector<PlannedRun> times(const std::vector<PlannedRun>& runs, const Axis& axis, bool grouping) {
  if (axis.empty()) return runs;
  std::vector<PlannedRun> all;
  for (const PlannedRun& run : runs)
    for (const Choice& choice : axis) {
      PlannedRun next = run;
      next.name += (next.name.empty() ? "" : "_") + choice.name;
      next.settings.push_back(choice.setting);
      if (grouping) next.group += (next.group.empty() ? "" : " ") + choice.setting;
      all.push_back(std::move(next));
    }
  return all;
}

// Makes the names valid for a file system, and distinct.
void shorten_names(std::vector<PlannedRun>& runs) {
  constexpr size_t kLongest = 150;
  std::set<std::string> seen;
  for (size_t i = 0; i < runs.size(); i++) {
    std::string& name = runs[i].name;
    if (name.size() > kLongest) name = fmt::format("{}-{}", name.substr(0, kLongest), i + 1);
    if (!seen.insert(name).second) seen.insert(name += fmt::format("-{}", i + 1));
  }
}

TrainOptions options_of(const TrainOptions& options, const ExperimentOptions& experiment, const PlannedRun& run) {
  TrainOptions one = options;
  one.out = (fs::path(options.out) / run.name).string();
  one.settings.insert(one.settings.end(), run.settings.begin(), run.settings.end());
  one.go_on = experiment.command;
  std::error_code error;
  one.resume = fs::exists(one.out, error);
  return one;
}

using Fingerprints = std::map<std::pair<DatasetKind, int>, uint64_t>;  // of the training images by data set and split

// Checks all runs first, so that an error in a later run is found before the first one trains.
Fingerprints check_runs(const TrainOptions& options, const ExperimentOptions& experiment,
                        const std::vector<PlannedRun>& runs) {
  Fingerprints fingerprints;
  for (const PlannedRun& run : runs) {
    const TrainConfig config = given_config(options_of(options, experiment, run));
    check_config(config, run.name);
    if (!experiment.splits.empty() && config.dataset != DatasetKind::RegDb)
      fail("--splits: expected the data set regdb, which has splits, got {}", name_of(config.dataset));
    if (config.eval_interval == 0)
      fail("{}: eval_interval: expected at least 1, as results are compared, got 0", run.name);
    if (fingerprints.contains({config.dataset, config.split})) continue;
    const Dataset data = read_dataset(config.dataset, options.data, Split::Both, config.split);
    check_pictures(data, data.train);
    fingerprints[{config.dataset, config.split}] = data_fingerprint(data.train);
  }
  return fingerprints;
}

// Whether the run has completed all its epochs with this configuration. UserError if it has trained on other images or
// for more epochs: its results are not what was asked for.
bool is_complete(const std::string& folder, const TrainConfig& wanted, uint64_t fingerprint) {
  const std::string last = folder + "/last.safetensors";
  std::error_code error;
  if (!fs::exists(last, error)) return false;
  const Checkpoint checkpoint(last);
  if (!checkpoint.config() || !checkpoint.progression()) return false;
  const Progression& progression = *checkpoint.progression();
  if (!fixed_differences(*checkpoint.config(), wanted).empty() || progression.epoch <= wanted.num_epoch) return false;
  if (progression.data != fingerprint)
    fail("{}: expected the images that this run was trained on, got another list; choose another --out", last);
  if (progression.epoch > wanted.num_epoch + 1)
    fail("{}: num_epoch: expected at least the {} that are trained, got {}; choose another --out", last,
         progression.epoch - 1, wanted.num_epoch);
  return true;
}

}  // namespace

std::vector<PlannedRun> plan_runs(const ExperimentOptions& options) {
  std::vector<PlannedRun> runs(1);
  for (const Axis& axis : sweep_axes(options)) runs = times(runs, axis, true);
  runs = times(runs, number_axis("split", options.splits), false);
  runs = times(runs, number_axis("seed", options.seeds), false);
  shorten_names(runs);
  return runs;
}

int run_experiment(const TrainOptions& options, const ExperimentOptions& experiment) {
  if (options.config.empty()) fail("--config is needed (see --help)");
  if (options.data.empty()) fail("--data is needed (see --help)");
  const std::vector<PlannedRun> runs = plan_runs(experiment);
  const std::string summary_file = options.out + "/summary.json";
  for (const auto& [path, name] : {std::pair(options.config, "--config"), std::pair(experiment.sweep, "--sweep")})
    register_input(path, name);
  check_no_input(summary_file, summary_file);
  const Fingerprints fingerprints = check_runs(options, experiment, runs);
  ExperimentSummary summary(options.data, runs.size());
  for (const PlannedRun& run : runs) {
    const TrainOptions one = options_of(options, experiment, run);
    const TrainConfig config = given_config(one);
    const uint64_t fingerprint = fingerprints.at({config.dataset, config.split});
    if (!is_complete(one.out, config, fingerprint)) {
      say(stdout, fmt::format("== {} ({} of {})\n", run.name, &run - runs.data() + 1, runs.size()));
      if (const int code = train(one); code != 0) return code;
    }
    if (!is_complete(one.out, config, fingerprint)) continue;  // --max-steps
    summary.add(run, config, one.out + "/log.jsonl");
    say(stdout, summary.last_line());
    summary.write(summary_file);
  }
  fmt::print("{}", summary.table());
  return 0;
}

}  // namespace mpanet

#include "mpanet/training/experiment.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "mpanet/config/config_keys.h"
#include "mpanet/training/experiment_check.h"
#include "mpanet/training/experiment_summary.h"
#include "mpanet/training/resume.h"

namespace mpanet {
namespace {

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
  std::map<std::string, json> seen;  // 1 and 1.0 are one value
  for (const json& value : values) {
    TrainConfig tried;
    if (!key->set(tried, value)) fail("{}: {}: expected {}, got {}", file, path, key->allowed, shown(value));
    const auto [same, added] = seen.emplace(config_line(tried), value);
    if (!added && same->second.dump() == value.dump())
      fail("{}: {}: the value {} stands twice", file, path, shown(value));
    if (!added) fail("{}: {}: {} and {} are the same value", file, path, shown(same->second), shown(value));
    const std::string setting = path + "=" + setting_text(value);
    axis.push_back({folder_text(setting), setting});
  }
  return axis;
}

// UserError for more runs than are planned at once.
void check_count(const ExperimentOptions& options, const ordered_json& sweep) {
  constexpr double kMost = 10000;
  double runs = static_cast<double>(std::max<size_t>(options.splits.size(), 1)) *
                static_cast<double>(std::max<size_t>(options.seeds.size(), 1));
  for (const auto& [path, values] : sweep.items())
    if (values.is_array()) runs *= static_cast<double>(values.size());
  if (runs > kMost) fail("--splits, --seeds and --sweep: expected at most {} runs in all, got {}", kMost, runs);
}

std::vector<Axis> sweep_axes(const ExperimentOptions& options) {
  if (options.sweep.empty()) return check_count(options, ordered_json::object()), std::vector<Axis>();
  const ordered_json sweep = parse_ordered_json(read_text(options.sweep), options.sweep);
  if (!sweep.is_object() || sweep.empty())
    fail("{}: expected lists of values by key such as {{\"lr\": [0.001, 0.0005]}}, got {}", options.sweep,
         sweep.is_object() ? "no key" : shown(json(sweep)));
  check_count(options, sweep);
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
  const std::vector<PlannedRun> planned = plan_runs(experiment);
  const std::string summary_file = options.out + "/summary.json";
  register_input(options.config, "--config");
  register_input(experiment.sweep, "--sweep");
  check_no_input(summary_file, summary_file);
  const std::vector<CheckedRun> runs = check_experiment(options, experiment, planned);
  ExperimentSummary summary(options.data, runs.size());
  const InterruptGuard guard;  // a signal after a run's last step, or between two runs, stops the experiment too
  for (const CheckedRun& run : runs) {
    TrainOptions one = options_of(options, experiment, run.planned);
    one.protocol = run.protocol;
    const std::string name = fmt::format("== {} ({} of {})", run.planned.name, &run - runs.data() + 1, runs.size());
    if (is_complete(one.out, run)) {
      const bool unknown = !options.init.empty() && !read_inputs(one.out + "/inputs.json").initial;
      say(stdout, fmt::format("{} is complete{}\n", name, unknown ? ": --init is not used" : ""));
    } else {
      if (interrupted()) {
        say(stdout,
            fmt::format("interrupted before {}, all is saved; go on with: {}\n", run.planned.name, experiment.command));
        return interrupt_exit_code();
      }
      say(stdout, name + "\n");
      if (const int code = train(one); code != 0) return code;
      if (!is_complete(one.out, run)) continue;  // --max-steps
    }
    summary.add(run.planned, run.config, one.out + "/log.jsonl");
    say(stdout, summary.last_line());
    summary.write(summary_file);
  }
  fmt::print("{}", summary.table());
  return 0;
}

}  // namespace mpanet

#include "mpanet/report/run_files.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/json.h"
#include "core/base/json_fields.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/training/run_folder.h"

namespace mpanet {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN(), kMost = std::numeric_limits<double>::max();

// Adds a point to the curve of a name, which it makes if it is missing.
void add_point(std::vector<std::pair<std::string, CurvePoints>>& curves, const std::string& name, double x, double y) {
  auto found = std::find_if(curves.begin(), curves.end(), [&](const auto& curve) { return curve.first == name; });
  if (found == curves.end()) found = curves.insert(name == "total" ? curves.begin() : curves.end(), {name, {}});
  found->second.emplace_back(x, y);
}

void add_losses(std::vector<std::pair<std::string, CurvePoints>>& curves, const JsonFields& line, double x) {
  const JsonFields losses = line.object("losses");
  for (const auto& [name, value] : losses.all().items())
    add_point(curves, name, x, losses.number_or_null(name, -kMost, kMost).value_or(kNone));
}

// `where`: the file and the line, for messages.
void add_line(RunCurves& curves, const JsonFields& line, const std::string& where, std::vector<double>& speeds) {
  const std::string kind = line.text("kind");
  const double epoch = line.whole<int>("epoch", 1);
  curves.last_step = line.whole<int64_t>("step", 0);
  if (kind == "step") {
    const double batch = line.whole<int>("batch", 0), batches = line.whole<int>("batches", 1);
    add_losses(curves.steps, line, epoch - 1 + batch / batches);
    if (const auto speed = line.number_or_null("images_per_second", 0, kMost)) speeds.push_back(*speed);
  } else if (kind == "epoch") {
    add_losses(curves.epochs, line, epoch);
    curves.learning_rate.emplace_back(epoch, line.number("lr", 0));
  } else if (kind == "evaluation") {
    const ordered_json& results = line.list("results");
    if (results.empty()) line.refuse("results", "at least one", &results);
    const JsonFields first(results.front(), where, "results[0]");
    if (line.boolean("best")) curves.best.push_back(curves.rank1.size());
    curves.rank1.emplace_back(epoch, first.number_or_null("rank1", 0, 100).value_or(kNone));
    curves.mAP.emplace_back(epoch, first.number_or_null("mAP", 0, 100).value_or(kNone));
  }
}

bool is_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// UserError unless a run made the folder.
void check_is_run(const std::string& path) {
  std::error_code error;
  if (!folder_exists(path)) fail("{}: expected a run folder, got no folder", path);
  check_folder_can_be_read(path);
  if (RunFolder::is_run(path)) return;
  for (const auto& entry : fs::directory_iterator(path, error))
    if (RunFolder::is_run(entry.path().string()))
      fail("{}: expected a run folder, got the folder of several runs; give those in it, such as {}", path,
           entry.path().string());
  if (!is_file(RunFolder::config_of(path))) fail("{}: expected a run folder, got one without config.json", path);
}

void flatten(const ordered_json& json, const std::string& prefix,
             std::vector<std::pair<std::string, std::string>>& values) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : fmt::format("{}.{}", prefix, key);
    if (value.is_object())
      flatten(value, name, values);
    else if (value.is_null())
      values.emplace_back(name, "–");
    else
      values.emplace_back(name, value.is_string() ? value.get<std::string>()
                                                  : value.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  }
}

}  // namespace

RunCurves read_curves(const std::string& log) {
  RunCurves curves;
  std::vector<double> speeds;
  const std::string text = read_text(log, kLongestLog);
  int number = 1;
  for (size_t start = 0, end; (end = text.find('\n', start)) != text.npos; start = end + 1, number++) {
    const std::string where = fmt::format("{}: line {}", log, number);
    const ordered_json line = parse_ordered_json(std::string_view(text).substr(start, end - start), where);
    add_line(curves, JsonFields(line, where), where, speeds);
  }
  curves.images_per_second = kNone;
  if (!speeds.empty()) {
    std::nth_element(speeds.begin(), speeds.begin() + static_cast<ptrdiff_t>(speeds.size() / 2), speeds.end());
    curves.images_per_second = speeds[speeds.size() / 2];
  }
  return curves;
}

RunRecord read_run(const std::string& path, bool embeds) {
  check_is_run(path);
  RunRecord run;
  run.path = path;
  while (run.path.size() > 1 && run.path.ends_with('/')) run.path.pop_back();
  run.name = fs::path(run.path).filename().string();
  if (run.name.empty() || run.name == "." || run.name == "..") run.name = run.path;
  run.config = read_config(RunFolder::config_of(run.path));
  run.config_json = parse_ordered_json(read_text(RunFolder::config_of(run.path)), RunFolder::config_of(run.path));
  for (const char* name : {"/best.safetensors", "/last.safetensors"})
    if (run.checkpoint.empty() && is_file(run.path + name)) run.checkpoint = run.path + name;
  if (embeds && run.checkpoint.empty())
    fail("{}: expected best.safetensors or last.safetensors in it, got neither", run.path);
  const std::string provenance = run.path + "/provenance.json";
  if (is_file(provenance)) run.provenance = parse_ordered_json(read_text(provenance), provenance);
  run.inputs = read_inputs(run.path + "/inputs.json");
  if (is_file(run.path + "/log.jsonl")) run.curves = read_curves(run.path + "/log.jsonl");
  return run;
}

std::vector<std::string> run_files(const std::string& path) {
  std::vector<std::string> files;
  for (const char* name : {"best.safetensors", "last.safetensors", "config.json", "provenance.json", "inputs.json",
                           "log.jsonl", "log.csv", "vendors.json", "events.out.tfevents.mpanet", "lock"})
    files.push_back(fmt::format("{}/{}", path, name));
  for (const char* name : {"best.safetensors", "last.safetensors"})
    files.push_back(calibration_path(fmt::format("{}/{}", path, name)));
  return files;
}

std::vector<std::pair<std::string, std::string>> flattened(const ordered_json& json) {
  std::vector<std::pair<std::string, std::string>> values;
  if (json.is_object()) flatten(json, "", values);
  return values;
}

bool repeats(const RunRecord& a, const RunRecord& b) {
  if (a.config.seed == b.config.seed && a.config.split == b.config.split) return false;
  TrainConfig same = b.config;
  same.seed = a.config.seed;
  same.split = a.config.split;
  return config_line(a.config) == config_line(same) && a.curves.learning_rate.size() == b.curves.learning_rate.size();
}

}  // namespace mpanet

#include "mpanet/training/experiment_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kMetricKeys[] = {"rank1", "rank5", "rank10", "rank20", "mAP", "mINP"};
// The metrics in the table.
constexpr std::pair<const char*, const char*> kShown[] = {{"rank1", "rank-1"}, {"mAP", "mAP"}, {"mINP", "mINP"}};

LoggedEvaluation parse_evaluation(const JsonFields& line, const std::string& where) {
  LoggedEvaluation evaluation;
  evaluation.epoch = line.whole<int>("epoch", 1);
  const ordered_json& results = line.list("results");
  for (size_t i = 0; i < results.size(); i++) {
    const JsonFields result(results[i], where, fmt::format("results[{}]", i));
    RunScores scores{
        result.has("direction") ? result.text("direction") : "", result.text("mode"), result.text("shots"), {}};
    for (const char* key : kMetricKeys) scores.values[key] = result.number_or_null(key, 0, 100).value_or(kNone);
    evaluation.scores.push_back(std::move(scores));
  }
  return evaluation;
}

struct Statistics {
  double mean = kNone, deviation = kNone;
};

// Mean and deviation of one metric over runs.
template <class Value>
Statistics statistics(size_t count, Value value) {
  Statistics s;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; i++) sum += value(i);
  s.mean = sum / static_cast<double>(count);
  for (size_t i = 0; i < count; i++) squares += (value(i) - s.mean) * (value(i) - s.mean);
  if (count > 1) s.deviation = std::sqrt(squares / static_cast<double>(count - 1));
  return s;
}

std::string percent(double value) { return std::isnan(value) ? "-" : fmt::format("{:.2f}", value); }

// "infrared to visible", "all single".
std::string name_of(const RunScores& scores, bool with_direction) {
  std::string name = !with_direction                            ? ""
                     : scores.direction.starts_with("infrared") ? "infrared to visible"
                                                                : "visible to infrared";
  if (scores.shots == "all") return name.empty() ? "all" : name;
  return name + (name.empty() ? "" : ", ") + scores.mode + " " + scores.shots;
}

bool several_directions(const std::vector<RunScores>& scores) {
  return std::any_of(scores.begin(), scores.end(),
                     [&](const RunScores& s) { return s.direction != scores.front().direction; });
}

ordered_json scores_json(const RunScores& scores) {
  return {{"direction", scores.direction}, {"mode", scores.mode}, {"shots", scores.shots}};
}

ordered_json evaluation_json(const LoggedEvaluation& evaluation) {
  ordered_json results = ordered_json::array();
  for (const RunScores& scores : evaluation.scores) {
    ordered_json entry = scores_json(scores);
    for (const char* key : kMetricKeys) entry[key] = scores.values.at(key);
    results.push_back(std::move(entry));
  }
  return {{"epoch", evaluation.epoch}, {"results", results}};
}

}  // namespace

RunResult read_run_result(const std::string& log) {
  RunResult result;
  bool found = false;
  const std::string text = read_text(log, kLongestLog);
  int number = 1;
  for (size_t start = 0, end; (end = text.find('\n', start)) != text.npos; start = end + 1, number++) {
    const auto parsed = try_parse_json(std::string_view(text).substr(start, end - start));
    const ordered_json line = parsed ? ordered_json(*parsed) : ordered_json();
    if (!line.is_object() || !line.contains("kind") || line["kind"] != "evaluation") continue;
    const std::string where = fmt::format("{}: line {}", log, number);
    const JsonFields fields(line, where);
    result.last = parse_evaluation(fields, where);
    if (fields.boolean("best")) result.best = result.last, found = true;
  }
  if (!found) fail("{}: expected an evaluation that chose the best model, got none", log);
  return result;
}

void ExperimentSummary::add(const PlannedRun& run, const TrainConfig& config, const std::string& log) {
  Run added{run, config.split, config.seed, read_run_result(log)};
  const auto& first = runs_.empty() ? added.result.best.scores : runs_.front().result.best.scores;
  for (const LoggedEvaluation* evaluation : {&added.result.best, &added.result.last})
    if (evaluation->scores.size() != first.size())
      fail("{}: expected {} results an evaluation as in the other runs, got {}", log, first.size(),
           evaluation->scores.size());
  runs_.push_back(std::move(added));
}

std::string ExperimentSummary::last_line() const {
  const Run& run = runs_.back();
  std::string line = fmt::format("{}: after epoch {}", run.planned.name, run.result.best.epoch);
  const auto& scores = run.result.best.scores;
  for (const RunScores& s : scores)
    line += fmt::format("; {}: rank-1 {} %, mAP {} %", name_of(s, several_directions(scores)),
                        percent(s.values.at("rank1")), percent(s.values.at("mAP")));
  return line + "\n";
}

std::vector<std::string> ExperimentSummary::groups() const {
  std::vector<std::string> names;
  for (const Run& run : runs_)
    if (std::find(names.begin(), names.end(), run.planned.group) == names.end()) names.push_back(run.planned.group);
  return names;
}

std::vector<const ExperimentSummary::Run*> ExperimentSummary::of_group(const std::string& group) const {
  std::vector<const Run*> found;
  for (const Run& run : runs_)
    if (run.planned.group == group) found.push_back(&run);
  return found;
}

std::string ExperimentSummary::group_rows(const std::string& group, size_t width) const {
  const std::vector<const Run*> runs = of_group(group);
  std::string text;
  for (const Run* run : runs) {
    text += fmt::format("{:<{}} {:>5}", run->planned.name, width, run->result.best.epoch);
    for (const RunScores& scores : run->result.best.scores) {
      text += "  ";
      for (const auto& [key, shown] : kShown) text += fmt::format(" {:>6}", percent(scores.values.at(key)));
    }
    text += "\n";
  }
  if (runs.size() < 2) return text;
  for (const bool mean : {true, false}) {
    text += fmt::format("{:<{}} {:>5}", mean ? "mean" : "standard deviation", width, "");
    for (size_t s = 0; s < runs.front()->result.best.scores.size(); s++) {
      text += "  ";
      for (const auto& column : kShown) {
        const char* const key = column.first;  // clang 14 lets no lambda capture a structured binding
        const auto [m, deviation] =
            statistics(runs.size(), [&](size_t i) { return runs[i]->result.best.scores[s].values.at(key); });
        text += fmt::format(" {:>6}", percent(mean ? m : deviation));
      }
    }
    text += "\n";
  }
  return text;
}

std::string ExperimentSummary::table() const {
  if (runs_.empty()) return "no run is complete\n";
  size_t width = std::string_view("standard deviation").size();
  for (const Run& run : runs_) width = std::max(width, run.planned.name.size());
  const auto& scores = runs_.front().result.best.scores;
  std::string names = fmt::format("{:<{}} {:>5}", "", width, ""),
              metrics = fmt::format("{:<{}} {:>5}", "run", width, "epoch");
  for (const RunScores& s : scores) {
    names += fmt::format("   {:<20}", name_of(s, several_directions(scores)));
    metrics += "  ";
    for (const auto& [key, shown] : kShown) metrics += fmt::format(" {:>6}", shown);
  }
  names.erase(names.find_last_not_of(' ') + 1);
  std::string text =
      fmt::format("{} of {} runs; percent, of the best evaluation of each, chosen on the test set\n{}\n{}\n",
                  runs_.size(), planned_, names, metrics);
  for (const std::string& group : groups()) text += group_rows(group, width);
  return text;
}

void ExperimentSummary::write(const std::string& path) const {
  ordered_json all{{"data", is_utf8(data_) ? data_ : ""}, {"planned", planned_}};
  all["best_is"] = "the evaluation that chose the best model, on the test set; last is free of that choice";
  for (const Run& run : runs_)
    all["runs"].push_back({{"name", run.planned.name},
                           {"split", run.split},
                           {"seed", run.seed},
                           {"set", run.planned.settings},
                           {"best", evaluation_json(run.result.best)},
                           {"last", evaluation_json(run.result.last)}});
  for (const std::string& group : groups()) {
    const std::vector<const Run*> runs = of_group(group);
    ordered_json entry{{"set", group}, {"runs", ordered_json::array()}};
    for (const Run* run : runs) entry["runs"].push_back(run->planned.name);
    for (const auto& [name, evaluation] : {std::pair("best", &RunResult::best), std::pair("last", &RunResult::last)})
      for (size_t s = 0; s < runs_.front().result.best.scores.size(); s++) {
        ordered_json scores = scores_json((runs.front()->result.*evaluation).scores[s]);
        for (const char* key : kMetricKeys) {
          const auto [mean, deviation] = statistics(
              runs.size(), [&, e = evaluation](size_t i) { return (runs[i]->result.*e).scores[s].values.at(key); });
          scores[key] = {{"mean", mean}, {"deviation", deviation}};
        }
        entry[name].push_back(std::move(scores));
      }
    all["groups"].push_back(std::move(entry));
  }
  write_file(path, all.dump(2) + "\n");
}

}  // namespace mpanet

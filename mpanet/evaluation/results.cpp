#include "mpanet/evaluation/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/text.h"
#include "mpanet/evaluation/rerank.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;

std::string percent(double value) { return std::isnan(value) ? "-" : fmt::format("{:.2f}", value); }

std::string table_line(const std::string& mode, const std::string& shots, const Metrics& metrics,
                       const std::vector<int>& more_ranks) {
  std::string line = fmt::format("{:<7} {:<8}", mode, shots);
  for (const auto& [name, value] : named_metrics(metrics, more_ranks)) line += fmt::format(" {:>7}", percent(value));
  return line;
}

struct CountName {
  const char* key;
  int TrialResult::*value;
};
constexpr CountName kCounts[] = {{"queries", &TrialResult::queries},
                                 {"gallery", &TrialResult::gallery},
                                 {"queries_without_match", &TrialResult::queries_without_match}};

// "3803", or "351-360" if trials differ.
std::string count_range(const SettingResult& result, int TrialResult::*count) {
  const auto [least, most] = std::minmax_element(result.trials.begin(), result.trials.end(),
                                                 [&](const auto& a, const auto& b) { return a.*count < b.*count; });
  if ((*least).*count == (*most).*count) return std::to_string((*least).*count);
  return fmt::format("{}-{}", (*least).*count, (*most).*count);
}

std::string rerank_words(const EvaluationPlan& plan) {
  if (!plan.rerank) return "none";
  return fmt::format("k-reciprocal, k1 {}, k2 {}, lambda {}, neighbours among {}", kRerankNeighbours, kRerankExpansion,
                     kRerankOriginalWeight, plan.gallery_neighbours ? "all images" : "queries");
}

const char* cmc_words(CmcUnit unit) {
  return unit == CmcUnit::Identities ? "counts each identity once" : "counts every image";
}

// How a manifest's gallery is filtered and drawn, which options say; the other protocols have it fixed.
struct CsvSettings {
  bool camera_filter, single_shot;
};
std::optional<CsvSettings> csv_settings(const EvaluationPlan& plan) {
  if (plan.protocol != "csv") return std::nullopt;
  return CsvSettings{plan.skips != nullptr, plan.settings.front().shots == "single"};
}

std::string csv_words(const EvaluationPlan& plan) {
  const auto settings = csv_settings(plan);
  if (!settings) return "";
  return fmt::format("; camera filter {}; gallery {}", settings->camera_filter ? "on" : "off",
                     settings->single_shot ? "single shot" : "whole");
}

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

ordered_json per_query_json(const EvaluationPlan& plan, const SettingResult& result) {
  ordered_json json;
  json["trials"] = ordered_json::array();
  for (const auto& [name, value] : named_metrics(result.mean, plan.more_ranks)) json[name] = ordered_json::array();
  for (const QueryResult& query : result.per_query) {
    json["trials"].push_back(query.trials);
    for (const auto& [name, value] : named_metrics(query.mean, plan.more_ranks)) json[name].push_back(rounded(value));
  }
  return json;
}

ordered_json setting_json(const EvaluationPlan& plan, const SettingResult& result) {
  ordered_json entry;
  entry["mode"] = result.setting.mode;
  entry["shots"] = result.setting.shots;
  entry["direction"] = plan.direction;
  for (const auto& [name, value] : named_metrics(result.mean, plan.more_ranks)) entry[name] = value;
  for (const auto& [name, value] : named_metrics(result.deviation, plan.more_ranks)) entry["deviation"][name] = value;
  for (const CountName& count : kCounts) {
    const int first = result.trials.front().*count.value;
    const bool same = std::all_of(result.trials.begin(), result.trials.end(),
                                  [&](const TrialResult& trial) { return trial.*count.value == first; });
    entry[count.key] = same ? ordered_json(first) : ordered_json();
  }
  entry["trials"] = plan.trials;
  for (const auto& [name, value] : named_metrics(result.mean, plan.more_ranks))
    entry["per_trial"][name] = ordered_json::array();
  for (const TrialResult& trial : result.trials) {
    for (const auto& [name, value] : named_metrics(trial.metrics, plan.more_ranks))
      entry["per_trial"][name].push_back(value);
    for (const CountName& count : kCounts) entry["per_trial"][count.key].push_back(trial.*count.value);
  }
  entry["per_query"] = per_query_json(plan, result);
  return entry;
}

bool is_leaf(const ordered_json& json) { return !json.is_structured(); }

// JSON must be UTF-8; a path that is not gets replacement characters.
std::string one_line(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void append_json(const ordered_json& json, const std::string& indent, std::string& text) {
  if (is_leaf(json) || json.empty() || (json.is_array() && std::all_of(json.begin(), json.end(), is_leaf))) {
    text += one_line(json);
    return;
  }
  const std::string inner = indent + "  ";
  text += json.is_array() ? '[' : '{';
  bool first = true;
  for (const auto& [key, value] : json.items()) {
    text += (first ? "\n" : ",\n") + inner;
    if (json.is_object()) text += one_line(key) + ": ";
    append_json(value, inner, text);
    first = false;
  }
  text += "\n" + indent + (json.is_array() ? ']' : '}');
}

}  // namespace

std::string percent_words(double value) { return std::isnan(value) ? "undefined" : fmt::format("{:.2f} %", value); }

std::string results_table(const Evaluation& evaluation, const ResultFacts& facts, bool per_trial) {
  const EvaluationPlan& plan = evaluation.plan;
  std::string table = fmt::format("protocol {}{}: {}; mean of {}, percent\n", plan.protocol,
                                  plan.split > 0 ? fmt::format(", split {}", plan.split) : "", plan.direction,
                                  counted(plan.trials, "trial"));
  table += fmt::format("distance {}; feature {}\n", words_of(plan.distance), facts.feature);
  table += fmt::format("flip averaging {}; re-ranking {}; CMC {}{}\n", facts.flip ? "on" : "off", rerank_words(plan),
                       cmc_words(plan.cmc), csv_words(plan));
  if (facts.calibration)
    table += fmt::format("without {}, on whose pairs the distance was calibrated\n",
                         counted(facts.calibration->identities.size(), "identity", "identities"));
  if (!facts.checkpoint.empty()) table += fmt::format("checkpoint sha256 {}\n", facts.checkpoint);
  table += fmt::format("{:<7} {:<8}", "mode", "shots");
  for (const auto& [name, value] : named_metrics(evaluation.results.front().mean, plan.more_ranks))
    table += fmt::format(" {:>7}", name);
  table += "  queries  gallery  without match\n";
  for (const SettingResult& result : evaluation.results) {
    table += table_line(result.setting.mode, result.setting.shots, result.mean, plan.more_ranks);
    table += fmt::format("  {:>7}  {:>7}  {:>13}\n", count_range(result, &TrialResult::queries),
                         count_range(result, &TrialResult::gallery),
                         count_range(result, &TrialResult::queries_without_match));
    if (plan.trials > 1) table += table_line("", "std", result.deviation, plan.more_ranks) + "\n";
    if (!per_trial) continue;
    for (size_t trial = 0; trial < result.trials.size(); trial++)
      table += table_line("", fmt::format("trial {}", trial), result.trials[trial].metrics, plan.more_ranks) + "\n";
  }
  return table;
}

ordered_json results_json(const std::vector<Evaluation>& evaluations, const ResultFacts& facts) {
  const EvaluationPlan& first = evaluations.front().plan;
  std::vector<std::string> directions;
  for (const Evaluation& evaluation : evaluations) directions.push_back(evaluation.plan.direction);
  ordered_json json;  // writes NaN as null
  json["protocol"] = first.protocol;
  json["split"] = first.split > 0 ? ordered_json(first.split) : ordered_json();
  json["direction"] = join(directions, "; ");
  json["distance"] = words_of(first.distance);
  json["feature"] = facts.feature;
  json["flip"] = facts.flip;
  json["rerank"] = rerank_words(first);
  json["cmc"] = cmc_words(first.cmc);
  const auto csv = csv_settings(first);
  json["camera_filter"] = csv ? ordered_json(csv->camera_filter) : ordered_json();
  json["single_shot"] = csv ? ordered_json(csv->single_shot) : ordered_json();
  json["checkpoint_sha256"] = facts.checkpoint.empty() ? ordered_json() : ordered_json(facts.checkpoint);
  json["calibration"] = facts.calibration ? calibration_json(*facts.calibration) : ordered_json();
  json["results"] = ordered_json::array();
  for (const Evaluation& evaluation : evaluations)
    for (const SettingResult& result : evaluation.results)
      json["results"].push_back(setting_json(evaluation.plan, result));
  for (const Evaluation& evaluation : evaluations) {
    auto& paths = json["queries"][evaluation.plan.direction] = ordered_json::array();
    for (const ImageRecord& query : evaluation.plan.queries) paths.push_back(query.path);
  }
  return json;
}

std::string json_text(const ordered_json& json) {
  std::string text;
  append_json(json, "", text);
  return text + "\n";
}

double metric(const std::vector<SettingResult>& results, const std::string& mode, const std::string& shots,
              const std::string& key) {
  for (const SettingResult& result : results)
    if (result.setting == Setting{mode, shots})
      for (const auto& metric : kMetrics)
        if (metric.key == key) return result.mean.*metric.value;
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace mpanet

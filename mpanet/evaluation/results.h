// Output of results: the table and the JSON file.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/scores.h"

namespace mpanet {

// The facts that a result has besides its metrics and its plan.
struct ResultFacts {
  std::string feature;                          // the compared embeddings: "BN neck output of best.safetensors"
  bool flip = false;                            // the mean over each picture and its mirror image
  std::string checkpoint;                       // SHA-256 of the file; empty if there is none
  std::optional<Calibration> calibration = {};  // that was fitted on identities which the plans lack
};

struct Evaluation {
  const EvaluationPlan& plan;
  const std::vector<SettingResult>& results;
};

// "82.80 %"; "undefined" for NaN: no query has a match.
std::string percent_words(double value);

// The table, with counts, direction, distance, feature and the other facts that affect the metrics. per_trial: also a
// line per trial.
std::string results_table(const Evaluation& evaluation, const ResultFacts& facts, bool per_trial);

// {"protocol", "direction", "distance", "feature", "flip", "rerank", "cmc", "camera_filter", "single_shot",
// "checkpoint_sha256", "calibration": {calibration_json()}, "results": [{"mode", "shots", "direction", "rank1",
// "rank5", "rank10", "rank20", "mAP", "mINP", "deviation": {"rank1", ...}, "queries", "gallery",
// "queries_without_match", "trials", "per_trial": {"rank1": [...], "queries", "gallery", "queries_without_match"},
// "per_query": {"trials", "rank1", ..., "mAP", "mINP"}}], "queries": {direction: [paths]}}.
//
// "camera_filter" and "single_shot" are of a manifest, and null for the other protocols.
// In percent; null if no query has a match, and for the deviation of one trial. Counts that differ between trials are
// null, and in per_trial. per_query: a value per path in "queries", the mean over the `trials` that count the query, in
// percent with four decimals; null if no trial counts it.
nlohmann::ordered_json results_json(const std::vector<Evaluation>& evaluations, const ResultFacts& facts);

// The text of a result file; a list of numbers or texts is on one line.
std::string json_text(const nlohmann::ordered_json& json);

// A metric of a setting; NaN if the results do not have it: metric(results, "all", "single", "mAP").
double metric(const std::vector<SettingResult>& results, const std::string& mode, const std::string& shots,
              const std::string& key);

}  // namespace mpanet

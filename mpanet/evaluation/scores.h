// Computes CMC, mAP and mINP of every setting and trial from the scores of queries.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mpanet/evaluation/plan.h"

namespace mpanet {

// In percent. rank1..rank20 (CMC): queries whose first right image is among the first k identities (or images,
// EvaluationPlan::cmc); 100 if k exceeds the number of gallery identities. mAP over all ranked images; mINP: right
// images / rank of the last right one. Means over the queries that have a match in the gallery; NaN if none has.
struct Metrics {
  double rank1 = 0, rank5 = 0, rank10 = 0, rank20 = 0, mAP = 0, mINP = 0;
  std::vector<double> more;  // at EvaluationPlan::more_ranks
};

// The metrics with fixed names.
struct MetricName {
  const char* key;
  double Metrics::*value;
};
inline constexpr MetricName kMetrics[] = {{"rank1", &Metrics::rank1},   {"rank5", &Metrics::rank5},
                                          {"rank10", &Metrics::rank10}, {"rank20", &Metrics::rank20},
                                          {"mAP", &Metrics::mAP},       {"mINP", &Metrics::mINP}};

// Every metric with its name in tables and result files, with the plan's further ranks after rank20.
std::vector<std::pair<std::string, double>> named_metrics(const Metrics& metrics, const std::vector<int>& more_ranks);

// The contribution of one query to one column (setting * trials + trial).
struct Score {
  double average_precision = 0, inverse_penalty = 0;
  int32_t first = -1;  // identities (or images) ranked before the first right image; -1: no match
};

struct TrialResult {
  Metrics metrics;
  int queries = 0, gallery = 0, queries_without_match = 0;
};

// A query's metrics (0 or 100 for a rank): the mean over the trials that count it.
struct QueryResult {
  int trials = 0;  // number of trials that use it and have a right image for it
  Metrics mean;    // NaN if there is no such trial
};

struct SettingResult {
  Setting setting;
  Metrics mean, deviation;  // over the trials; n - 1, NaN for a single trial
  std::vector<TrialResult> trials;
  std::vector<QueryResult> per_query;  // in the plan's order
};

// One result per setting of the plan, in its order. scores: (queries, columns); those of columns that do not use
// the query are ignored.
std::vector<SettingResult> summarise(const EvaluationPlan& plan, const std::vector<Score>& scores);

}  // namespace mpanet

#include "mpanet/evaluation/scores.h"

#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace mpanet {
namespace {

// Every value of `metrics` in one order.
template <class Act>
void for_each_value(Metrics& metrics, Act act) {
  for (const auto& metric : kMetrics) act(metrics.*metric.value);
  for (double& value : metrics.more) act(value);
}
template <class Act>
void for_each_pair(Metrics& to, const Metrics& from, Act act) {
  for (const auto& metric : kMetrics) act(to.*metric.value, from.*metric.value);
  for (size_t i = 0; i < to.more.size(); i++) act(to.more[i], from.more[i]);
}

Metrics zero_metrics(const EvaluationPlan& plan) {
  Metrics metrics;
  metrics.more.assign(plan.more_ranks.size(), 0);
  return metrics;
}

// Adds one query's metrics, as fractions of 1.
void add(Metrics& metrics, const Score& score, const std::vector<int>& more_ranks) {
  metrics.rank1 += score.first < 1;
  metrics.rank5 += score.first < 5;
  metrics.rank10 += score.first < 10;
  metrics.rank20 += score.first < 20;
  metrics.mAP += score.average_precision;
  metrics.mINP += score.inverse_penalty;
  for (size_t i = 0; i < more_ranks.size(); i++) metrics.more[i] += score.first < more_ranks[i];
}

// Sums in query order, separately for each column.
TrialResult column_result(const EvaluationPlan& plan, const std::vector<Score>& scores, int column) {
  const size_t columns = plan.columns();
  TrialResult result;
  result.metrics = zero_metrics(plan);
  for (size_t q = 0; q < plan.queries.size(); q++) {
    if (!(plan.asked_in(q) >> column & 1)) continue;
    result.queries++;
    const Score& score = scores[q * columns + column];
    if (score.first < 0)
      result.queries_without_match++;
    else
      add(result.metrics, score, plan.more_ranks);
  }
  for (const uint64_t drawn : plan.drawn) result.gallery += static_cast<int>(drawn >> column & 1);
  const int counted = result.queries - result.queries_without_match;
  for_each_value(result.metrics, [&](double& value) { value *= 100.0 / counted; });  // 0 / 0: NaN
  return result;
}

void set_mean_and_deviation(const EvaluationPlan& plan, SettingResult& result) {
  result.mean = result.deviation = zero_metrics(plan);
  for (const TrialResult& trial : result.trials)
    for_each_pair(result.mean, trial.metrics, [&](double& mean, double value) { mean += value / plan.trials; });
  for (const TrialResult& trial : result.trials) {
    Metrics difference = result.mean;
    for_each_pair(difference, trial.metrics,
                  [](double& mean, double value) { mean = (value - mean) * (value - mean); });
    for_each_pair(result.deviation, difference, [](double& sum, double square) { sum += square; });
  }
  for_each_value(result.deviation, [&](double& sum) {  // one trial: 0 / 0
    sum = std::sqrt(sum / (plan.trials - 1));
  });
}

std::vector<QueryResult> query_results(const EvaluationPlan& plan, const std::vector<Score>& scores, size_t setting) {
  const size_t columns = plan.columns();
  std::vector<QueryResult> results(plan.queries.size());
  for (size_t q = 0; q < results.size(); q++) {
    QueryResult& result = results[q];
    result.mean = zero_metrics(plan);
    for (int trial = 0; trial < plan.trials; trial++) {
      const size_t column = setting * plan.trials + trial;
      const Score& score = scores[q * columns + column];
      if (!(plan.asked_in(q) >> column & 1) || score.first < 0) continue;
      result.trials++;
      add(result.mean, score, plan.more_ranks);
    }
    for_each_value(result.mean, [&](double& value) { value *= 100.0 / result.trials; });
  }
  return results;
}

}  // namespace

std::vector<std::pair<std::string, double>> named_metrics(const Metrics& metrics, const std::vector<int>& more_ranks) {
  std::vector<std::pair<std::string, double>> named;
  for (const auto& metric : kMetrics) {
    if (metric.value == &Metrics::mAP)
      for (size_t i = 0; i < more_ranks.size(); i++)
        named.emplace_back(fmt::format("rank{}", more_ranks[i]), metrics.more[i]);
    named.emplace_back(metric.key, metrics.*metric.value);
  }
  return named;
}

std::vector<SettingResult> summarise(const EvaluationPlan& plan, const std::vector<Score>& scores) {
  MPANET_CHECK(scores.size() == plan.queries.size() * plan.columns(), "{} scores of {} queries in {} columns",
               scores.size(), plan.queries.size(), plan.columns());
  std::vector<SettingResult> results;
  for (size_t s = 0; s < plan.settings.size(); s++) {
    SettingResult result;
    result.setting = plan.settings[s];
    for (int trial = 0; trial < plan.trials; trial++)
      result.trials.push_back(column_result(plan, scores, static_cast<int>(s) * plan.trials + trial));
    set_mean_and_deviation(plan, result);
    result.per_query = query_results(plan, scores, s);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace mpanet

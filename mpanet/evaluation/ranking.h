// Distances, ranked lists, and CMC, mAP and mINP of every setting and trial of a plan (docs/method.md, section 5).
//
// Embeddings are L2-normalised float32. The distance is the squared Euclidean one, |q|^2 + |g|^2 - 2 q.g, which is
// 2 - 2 q.g for unit vectors. Images rank by descending q.g: rounding 2 - 2 q.g would tie near neighbours. An embedding
// of zeros stays zero. Its distance from a unit vector is 1, so it ranks like a product of 1/2. Equal distances rank in
// gallery order.
//
// Each distance is computed once for all settings and trials, for a block of queries at a time. Memory holds the
// embeddings, a normalised copy of the gallery's and one block of products, and never queries x gallery. Results have
// the same bits for any number of threads.
#pragma once
#include <vector>

#include "mpanet/evaluation/protocol.h"

namespace mpanet {

// One row per image: the plan's queries, then its gallery. Finite, not normalised.
struct Embeddings {
  int dimension = 0;
  std::vector<float> values;  // (queries + gallery, dimension)
  const float* row(size_t index) const { return values.data() + index * dimension; }
};

// Percent: means over the queries that have a match in the gallery, NaN when none has. rank1..rank20 (CMC): the query's
// identity is among the first k identities, each counted at its best-ranked image. mAP is over all ranked images. mINP
// is the number of matches divided by the rank of the last match.
struct Metrics {
  double rank1 = 0, rank5 = 0, rank10 = 0, rank20 = 0, mAP = 0, mINP = 0;
};

// A metric and its name in result files.
struct MetricName {
  const char* key;
  double Metrics::*value;
};
inline constexpr MetricName kMetrics[] = {{"rank1", &Metrics::rank1},   {"rank5", &Metrics::rank5},
                                          {"rank10", &Metrics::rank10}, {"rank20", &Metrics::rank20},
                                          {"mAP", &Metrics::mAP},       {"mINP", &Metrics::mINP}};

struct SettingResult {
  Setting setting;
  Metrics mean;  // over the trials
  std::vector<Metrics> trials;
  // Numbers of queries, of gallery images, and of queries left out because they have no match. Equal in all trials.
  int queries = 0, gallery = 0, queries_without_match = 0;
};

// One result per setting, in the plan's order. Throws CheckError when the shapes of plan and embeddings disagree.
std::vector<SettingResult> rank_embeddings(const EvaluationPlan& plan, const Embeddings& embeddings);

// For each of `queries` (indices into plan.queries): the first `count` gallery images (indices into plan.gallery) of
// its ranked list in one trial of a setting; fewer when the list is shorter.
std::vector<std::vector<int>> top_matches(const EvaluationPlan& plan, const Embeddings& embeddings,
                                          const std::vector<int>& queries, int setting, int trial, int count);

}  // namespace mpanet

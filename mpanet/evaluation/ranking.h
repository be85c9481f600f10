// Distances, ranked lists and what is counted on them: CMC, mAP and mINP of every setting and trial of a plan.
//
// Embeddings are L2-normalised float32; the distance is the squared Euclidean one, |q|^2 + |g|^2 - 2 q.g. For unit
// vectors that is 2 - 2 q.g, so images rank by descending product, which keeps near neighbours apart that the rounding
// of 2 - 2 q.g would tie. An embedding of zeros has no direction: it stays zero, and ranks where its distance of 1 from
// any unit vector puts it (a product of 1/2). Equal distances rank in gallery order.
//
// Each distance is computed once for all settings and trials, a block of queries at a time: memory is the embeddings,
// a normalised copy of the gallery's and one block, never queries x gallery. Every result is the same to the bit with
// any number of threads.
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

// In percent. rank1..rank20 (CMC): queries whose first right image is among the first k identities, each identity
// counted at its best-ranked image. mAP over all ranked images; mINP: right images / rank of the last right one. Means
// over the queries that have a match in the gallery; NaN when none has.
struct Metrics {
  double rank1 = 0, rank5 = 0, rank10 = 0, rank20 = 0, mAP = 0, mINP = 0;
};

// Every metric with its name in result files.
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
  // The same in every trial: how many queries, gallery images, and queries left out because they see no right image.
  int queries = 0, gallery = 0, queries_without_match = 0;
};

// One result per setting of the plan, in its order.
std::vector<SettingResult> rank_embeddings(const EvaluationPlan& plan, const Embeddings& embeddings);

// For each of `queries` (indices into plan.queries) the first `count` gallery images (indices into plan.gallery) that
// it is shown in one trial of a setting; fewer where the gallery is smaller.
std::vector<std::vector<int>> top_matches(const EvaluationPlan& plan, const Embeddings& embeddings,
                                          const std::vector<int>& queries, int setting, int trial, int count);

}  // namespace mpanet

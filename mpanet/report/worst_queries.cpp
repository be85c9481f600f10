#include "mpanet/report/worst_queries.h"

#include <algorithm>

#include "mpanet/evaluation/ranking.h"
#include "mpanet/report/pair_distances.h"

namespace mpanet {
namespace {

RankedQuery ranked_query(const EvaluationPlan& plan, const Embeddings& embeddings, int query,
                         const std::vector<int>& matches, int shown) {
  RankedQuery made;
  made.query = plan.queries[static_cast<size_t>(query)];
  made.gallery = static_cast<int>(matches.size());
  for (size_t i = 0; i < matches.size(); i++)
    if (plan.gallery[static_cast<size_t>(matches[i])].identity == made.query.identity) {
      made.last_right = static_cast<int>(i) + 1;
      if (made.right++ == 0) made.first_right = made.last_right;
    }
  for (int rank = 1; rank <= made.gallery; rank++) {
    if (rank > shown && rank != made.first_right) continue;
    const auto g = static_cast<size_t>(matches[static_cast<size_t>(rank) - 1]);
    const ImageRecord& image = plan.gallery[g];
    made.list.push_back({image, rank,
                         pair_distance(plan.distance, embeddings.row(static_cast<size_t>(query)),
                                       embeddings.row(plan.queries.size() + g), embeddings.dimension),
                         image.identity == made.query.identity, rank > made.last_right});
  }
  return made;
}

}  // namespace

std::vector<RankedQuery> worst_queries(const EvaluationPlan& plan, const Embeddings& embeddings, size_t count,
                                       int shown) {
  const EvaluationPlan trial = trial_plan(plan, 0, 0);
  const std::vector<QueryResult> results = rank_embeddings(trial, embeddings).front().per_query;
  std::vector<int> chosen;
  for (size_t q = 0; q < results.size(); q++)
    if (results[q].trials > 0) chosen.push_back(static_cast<int>(q));
  std::stable_sort(chosen.begin(), chosen.end(), [&](int a, int b) {
    return results[static_cast<size_t>(a)].mean.mAP < results[static_cast<size_t>(b)].mean.mAP;
  });
  if (chosen.size() > count) chosen.resize(count);
  std::vector<RankedQuery> worst;
  if (chosen.empty()) return worst;
  const auto lists = top_matches(trial, embeddings, chosen, 0, 0, static_cast<int>(plan.gallery.size()));
  for (size_t i = 0; i < chosen.size(); i++) {
    worst.push_back(ranked_query(trial, embeddings, chosen[i], lists[i], shown));
    worst.back().average_precision = results[static_cast<size_t>(chosen[i])].mean.mAP;
  }
  return worst;
}

}  // namespace mpanet

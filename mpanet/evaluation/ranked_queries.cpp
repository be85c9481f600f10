#include "mpanet/evaluation/ranked_queries.h"

#include <algorithm>

#include "mpanet/evaluation/list_scorer.h"
#include "mpanet/evaluation/pair_distances.h"
#include "mpanet/evaluation/ranking.h"

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

std::vector<RankedQuery> ranked_queries(const EvaluationPlan& plan, const Embeddings& embeddings,
                                        const std::vector<int>& queries, int shown) {
  if (queries.empty()) return {};
  const EvaluationPlan trial = trial_plan(plan, 0, 0);
  const auto lists = top_matches(trial, embeddings, queries, 0, 0, static_cast<int>(plan.gallery.size()));
  const Candidates candidates(trial);
  ListScorer scorer(trial, candidates);
  std::vector<RankedQuery> made;
  for (size_t i = 0; i < queries.size(); i++) {
    made.push_back(ranked_query(trial, embeddings, queries[i], lists[i], shown));
    const std::vector<uint64_t> ranked(lists[i].begin(), lists[i].end());
    Score score;
    scorer.run(ranked, made.back().query, {&score, 1});
    made.back().average_precision = 100 * score.average_precision;
  }
  return made;
}

std::vector<RankedQuery> worst_queries(const EvaluationPlan& plan, const Embeddings& embeddings, size_t count,
                                       int shown) {
  const std::vector<QueryResult> results = rank_embeddings(trial_plan(plan, 0, 0), embeddings).front().per_query;
  std::vector<int> chosen;
  for (size_t q = 0; q < results.size(); q++)
    if (results[q].trials > 0) chosen.push_back(static_cast<int>(q));
  std::stable_sort(chosen.begin(), chosen.end(), [&](int a, int b) {
    return results[static_cast<size_t>(a)].mean.mAP < results[static_cast<size_t>(b)].mean.mAP;
  });
  if (chosen.size() > count) chosen.resize(count);
  return ranked_queries(plan, embeddings, chosen, shown);
}

}  // namespace mpanet

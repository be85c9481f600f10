// Ranked lists of single queries, to be shown: of chosen ones, and of those that a network answers worst.
#pragma once
#include <vector>

#include "data/sets/dataset.h"
#include "mpanet/evaluation/plan.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

struct RankedImage {
  ImageRecord image;
  int rank = 0;  // from 1
  double distance = 0;
  bool right = false;  // the query's identity
  bool after = false;  // ranked after the last right image, so that it could no longer be right
};

struct RankedQuery {
  ImageRecord query;
  double average_precision = 0;                                 // percent
  int gallery = 0, right = 0, first_right = 0, last_right = 0;  // images; ranks from 1
  std::vector<RankedImage> list;  // the first ones, and the first right one if it ranks behind them
};

// The lists of these queries (indices into plan.queries), each with its first `shown` images, in the first trial of the
// plan's first setting. Every one must have a right image in it.
std::vector<RankedQuery> ranked_queries(const EvaluationPlan& plan, const Embeddings& embeddings,
                                        const std::vector<int>& queries, int shown);

// Up to `count` queries with the lowest average precision in the first trial of the plan's first setting, the lowest
// first, equal ones in the plan's order, each with the first `shown` images of its list. Queries that the trial does
// not use or that have no right image are left out.
std::vector<RankedQuery> worst_queries(const EvaluationPlan& plan, const Embeddings& embeddings, size_t count,
                                       int shown);

}  // namespace mpanet

// Distances of queries and gallery images as numbers that can be shown: squared Euclidean, 0 or more (in 0..4 for
// L2-normalised embeddings), or minus the dot product, in -1..1. Ranking itself uses similarities (similarity.h).
#pragma once
#include <cstddef>
#include <functional>
#include <span>

#include "mpanet/evaluation/plan.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

// Calls take(q, distances) for every query of the plan in order, from this thread; `distances` has a number per gallery
// image of the plan, drawn or not. Memory is one block of queries, as in ranking.
void visit_distances(const EvaluationPlan& plan, const Embeddings& embeddings,
                     const std::function<void(size_t query, std::span<const float> distances)>& take);

// The distance of two embeddings, computed in double.
double pair_distance(Distance distance, const float* a, const float* b, int dimension);

// One trial of one setting as a plan of its own, with the same lists of images.
EvaluationPlan trial_plan(const EvaluationPlan& plan, size_t setting, int trial);

}  // namespace mpanet

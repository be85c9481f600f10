// k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017)
// as in MPANet's evaluation (docs/method.md, section 5), per trial, on its queries and its gallery together.
//
// Distances are squared Euclidean distances of L2-normalised embeddings unless the plan's distance is Euclidean; row i
// is divided by its maximum over the trial's images. Weights are float32 and sparse. Memory: a matrix of all queries
// against all images of the plan, or of all images against all if gallery images can be neighbours, and for each thread
// the nonzero weights of one trial. Results have the same bits for any number of threads.
#pragma once
#include <cstddef>
#include <vector>

#include "mpanet/evaluation/scores.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

constexpr int kRerankNeighbours = 20;          // k1
constexpr int kRerankExpansion = 6;            // k2
constexpr double kRerankOriginalWeight = 0.3;  // lambda

// Size of the matrix in bytes.
size_t rerank_bytes(const EvaluationPlan& plan);

// UserError if a trial has fewer than k1 + 1 images.
void check_rerank(const EvaluationPlan& plan);

// Every query's score in every column: (queries, columns).
std::vector<Score> score_reranked(const EvaluationPlan& plan, const Embeddings& embeddings);

// The final distances of one column: (its queries, its gallery images), both in the plan's order.
std::vector<float> reranked_distances(const EvaluationPlan& plan, const Embeddings& embeddings, int column);

}  // namespace mpanet

// k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017)
// as MPANet's evaluation does it (docs/method.md, section 5), per trial, on its queries and its gallery together.
//
// Distances are squared Euclidean ones, of L2-normalised embeddings unless the plan's distance is Euclidean; row i is
// divided by its maximum over the trial's images. Weights are float32 and sparse. Memory: a matrix of all queries
// against all images of the plan, or of all images against all where gallery images are neighbours too, and what is not
// zero of one trial's weights for each thread. Every result is the same to the bit with any number of threads.
#pragma once
#include <cstddef>
#include <vector>

#include "mpanet/evaluation/scores.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

constexpr int kRerankNeighbours = 20;         // k1
constexpr int kRerankExpansion = 6;           // k2
constexpr double kRerankOriginalShare = 0.3;  // lambda

// Bytes that the matrix takes.
size_t rerank_bytes(const EvaluationPlan& plan);

// UserError when a trial has too few images to look for k1 neighbours in (k1 + 1).
void check_rerank(const EvaluationPlan& plan);

// Every query's score in every column: (queries, columns).
std::vector<Score> score_reranked(const EvaluationPlan& plan, const Embeddings& embeddings);

// The final distances of one column: (its queries, its gallery images), both in the plan's order.
std::vector<float> reranked_distances(const EvaluationPlan& plan, const Embeddings& embeddings, int column);

}  // namespace mpanet

// The ranking of ranking.h for a gallery that does not fit into memory: bit-identical scores, from embeddings
// that are read in blocks.
//
// A query's CMC, AP and INP depend only on the ranks of its right images. The first pass computes their similarities;
// only rows of the queries' identities are multiplied. The second pass counts, for every query, the images ranked
// before each right image, and the identities before the first. Queries that do not fit into memory together are
// processed in groups, each with both passes. Time grows linearly with the gallery.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "mpanet/evaluation/scores.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

// Embeddings that are read in blocks, e.g. from disk.
struct EmbeddingRows {
  size_t rows = 0;
  int dimension = 0;
  // Writes rows first..first + count - 1: (count, dimension), finite.
  std::function<void(size_t first, size_t count, float* out)> read;
  std::vector<size_t> images;  // the row of each of the plan's images, queries and then gallery
};

// One result per setting, as rank_embeddings(). Uses at most `memory` bytes besides the plan, the list of rows and the
// results, and shows progress. UserError if that is too little. plan.rerank must be false.
std::vector<SettingResult> rank_streamed(const EvaluationPlan& plan, const EmbeddingRows& source, size_t memory);

}  // namespace mpanet

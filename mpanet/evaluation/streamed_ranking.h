// The ranking of ranking.h for a gallery that does not fit into memory: the same scores to the bit, from embeddings
// that are read in blocks.
//
// A query's CMC, AP and INP follow from the places of its right images alone. The first pass finds their similarities;
// only rows of the queries' identities are multiplied. The second one counts, for every query, the images that stand
// before each of them, and the identities before the first. Queries that do not fit into memory together go through
// both passes in groups. So time grows linearly with the gallery.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "mpanet/evaluation/scores.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

// Embeddings on disk, or wherever they are read from.
struct EmbeddingRows {
  size_t rows = 0;
  int dimension = 0;
  // Writes rows first..first + count - 1: (count, dimension), finite.
  std::function<void(size_t first, size_t count, float* out)> read;
  std::vector<size_t> images;  // the row of each of the plan's images, queries and then gallery
};

// One result per setting, as rank_embeddings(). Takes at most `memory` bytes beside the plan and the list of rows, and
// shows progress. UserError when that is too little. Re-ranking is not for streams: plan.rerank must be false.
std::vector<SettingResult> rank_streamed(const EvaluationPlan& plan, const EmbeddingRows& source, size_t memory);

}  // namespace mpanet

// Distances and ranked lists of embeddings from anywhere, without a plan. Similarities, their order and the order of
// ties are the evaluation's (mpanet/evaluation/similarity.h, ranking.h) with UnitEuclidean.
//
// A distance is 2 - 2 s of the similarity s, the squared Euclidean distance of the L2-normalised rows, and at least 0
// where rounding makes s exceed 1. A row of zeros has distance 1 from any other and 0 from zeros.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mpanet {

// Rows of finite numbers: (count, dimension).
struct RowsView {
  const float* values;
  size_t count;
  int dimension;
};

constexpr size_t kMostRows = 0x7fffffff;  // of a gallery

// out: (queries.count, gallery.count).
void compare_rows(const RowsView& queries, const RowsView& gallery, float* out);

// For each query its `top` nearest rows of the gallery: indices (queries.count, top), distances likewise or null.
// top <= gallery.count <= kMostRows.
void rank_rows(const RowsView& queries, const RowsView& gallery, size_t top, int64_t* indices, float* distances);

}  // namespace mpanet

// Squared distances between a plan's images, for re-ranking.
#pragma once
#include <cstddef>
#include <vector>

#include "mpanet/evaluation/similarity.h"

namespace mpanet {

class DistanceMatrix {
 public:
  // Distances of the first `rows` images to all images. Cosine is treated as UnitEuclidean. Euclidean distances are
  // multiplied by a power of two, which keeps them within float32.
  DistanceMatrix(Distance distance, const Embeddings& embeddings, size_t rows);

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  const float* row(size_t i) const { return values_.data() + i * columns_; }

 private:
  size_t rows_, columns_;
  std::vector<float> values_;
};

}  // namespace mpanet

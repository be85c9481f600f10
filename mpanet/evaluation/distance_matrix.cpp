#include "mpanet/evaluation/distance_matrix.h"

#include <algorithm>

#include "kernels/cpu/packed_rows.h"

namespace mpanet {

namespace {
// Images that are packed for the product at a time.
constexpr size_t kLeftBlock = 480, kRightBlock = 2016;
}  // namespace

DistanceMatrix::DistanceMatrix(Distance distance, const Embeddings& embeddings, size_t rows)
    : rows_(rows), columns_(embeddings.values.size() / embeddings.dimension), values_(rows * columns_) {
  if (distance == Distance::Cosine) distance = Distance::UnitEuclidean;
  const int dimension = embeddings.dimension;
  const std::vector<double> squares = squared_lengths(embeddings.row(0), columns_, dimension);
  const double largest = columns_ > 0 ? *std::max_element(squares.begin(), squares.end()) : 0;
  const std::vector<double> factors = row_factors(distance, squares, largest);
  PackedRows left(PackedRows::Side::Left, static_cast<int>(std::min(kLeftBlock, rows_)), dimension);
  PackedRows right(PackedRows::Side::Right, static_cast<int>(std::min(kRightBlock, columns_)), dimension);
  std::vector<float> products;
  for (size_t c = 0; c < columns_; c += kRightBlock) {
    right.assign(embeddings.row(c), factors.data() + c, static_cast<int>(std::min(kRightBlock, columns_ - c)));
    for (size_t r = 0; r < rows_; r += kLeftBlock) {
      left.assign(embeddings.row(r), factors.data() + r, static_cast<int>(std::min(kLeftBlock, rows_ - r)));
      const size_t stride = right.padded_rows();
      products.resize(left.padded_rows() * stride);
      multiply(left, right, products.data(), static_cast<ptrdiff_t>(stride));
#pragma omp parallel for schedule(static)
      for (int i = 0; i < left.rows(); i++) {
        const double own = squares[r + i] * factors[r + i] * factors[r + i];
        for (int j = 0; j < right.rows(); j++) {
          const double other = squares[c + j] * factors[c + j] * factors[c + j];
          values_[(r + i) * columns_ + c + j] = static_cast<float>(own + other - 2.0 * products[i * stride + j]);
        }
      }
    }
  }
}

}  // namespace mpanet

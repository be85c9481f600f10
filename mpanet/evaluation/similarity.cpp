#include "mpanet/evaluation/similarity.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace mpanet {

namespace {

// The similarity that ranks an embedding of zeros at distance 1 from unit vectors.
constexpr float kZeroProduct = 0.5f;

double square_of(const float* row, int dimension) {
  constexpr int kLanes = 8;
  double lanes[kLanes] = {}, sum = 0;
  const int whole = dimension / kLanes * kLanes;
  for (int i = 0; i < whole; i += kLanes)
    for (int l = 0; l < kLanes; l++) lanes[l] += static_cast<double>(row[i + l]) * row[i + l];
  for (int i = whole; i < dimension; i++) sum += static_cast<double>(row[i]) * row[i];
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

std::vector<double> squared_lengths(const float* rows, size_t count, int dimension) {
  std::vector<double> squares(count);
#pragma omp parallel for schedule(static)
  for (size_t r = 0; r < count; r++) squares[r] = square_of(rows + r * dimension, dimension);
  check_squares(squares);
  return squares;
}

void check_squares(const std::vector<double>& squares) {
  const auto bad = std::find_if(squares.begin(), squares.end(), [](double square) { return !std::isfinite(square); });
  MPANET_CHECK(bad == squares.end(), "embedding {} has a number that is not finite", bad - squares.begin());
}

std::vector<double> row_factors(Distance distance, const std::vector<double>& squares, double largest) {
  std::vector<double> factors(squares.size());
  if (distance == Distance::Euclidean) {
    // The largest length becomes nearly 2^62, whose square float32 still holds, so that products of far smaller rows
    // are not lost beside one large row.
    constexpr int kLargest = 62;
    int exponent = 0;
    std::frexp(std::sqrt(largest), &exponent);
    std::fill(factors.begin(), factors.end(), std::ldexp(1.0, kLargest - exponent));
    return factors;
  }
  for (size_t r = 0; r < squares.size(); r++) factors[r] = squares[r] == 0 ? 0 : 1 / std::sqrt(squares[r]);
  return factors;
}

std::vector<float> row_offsets(Distance distance, const std::vector<double>& squares,
                               const std::vector<double>& factors) {
  std::vector<float> offsets(squares.size());
  for (size_t r = 0; r < squares.size(); r++) {
    if (distance == Distance::Euclidean) offsets[r] = static_cast<float>(squares[r] * factors[r] * factors[r]);
    if (distance == Distance::UnitEuclidean && squares[r] == 0) offsets[r] = -2 * kZeroProduct;
  }
  return offsets;
}

void SimilarityRows::assign(const float* rows, int count) {
  const std::vector<double> squares = squared_lengths(rows, count, dimension_);
  const std::vector<double> factors = row_factors(distance_, squares, largest_);
  rows_.assign(rows, factors.data(), count);
  half_squares_.resize(count);
  zeros_.clear();
  for (int r = 0; r < count; r++) {
    half_squares_[r] = squares[r] * factors[r] * factors[r] / 2;
    if (squares[r] == 0) zeros_.push_back(r);
  }
}

void similarities(const SimilarityRows& queries, const SimilarityRows& gallery, float* out, ptrdiff_t stride,
                  const PairFilter& wanted) {
  multiply(queries.rows_, gallery.rows_, out, stride, wanted);
  const int count = gallery.rows();
  switch (queries.distance_) {
    case Distance::UnitEuclidean:
      for (int q = 0; q < queries.rows(); q++)
        for (const int g : gallery.zeros_) out[q * stride + g] = kZeroProduct;
      break;
    case Distance::Euclidean:
#pragma omp parallel for schedule(static)
      for (int q = 0; q < queries.rows(); q++)
        for (int g = 0; g < count; g++)
          out[q * stride + g] = static_cast<float>(out[q * stride + g] - gallery.half_squares_[g]);
      break;
    case Distance::Cosine:
      break;
  }
}

}  // namespace mpanet

#include "mpanet/evaluation/pair_distances.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mpanet {
namespace {

constexpr size_t kQueryBlock = 480;

// From the similarities of one query, in place. `square`: of the query's length. `scale`: the square of the factor that
// Euclidean similarities contain.
void to_distances(Distance distance, double square, double scale, std::span<float> values) {
  for (float& value : values) switch (distance) {
      case Distance::UnitEuclidean:
        value = std::max(0.0f, 2 - 2 * value);
        break;
      case Distance::Euclidean:
        value = static_cast<float>(std::max(0.0, square - 2 * value / scale));
        break;
      case Distance::Cosine:
        value = -value;
        break;
    }
}

}  // namespace

void visit_distances(const EvaluationPlan& plan, const Embeddings& embeddings,
                     const std::function<void(size_t query, std::span<const float> distances)>& take) {
  const size_t queries = plan.queries.size(), gallery = plan.gallery.size(), block = std::min(queries, kQueryBlock);
  const std::vector<double> squares = squared_lengths(embeddings.row(0), queries + gallery, embeddings.dimension);
  const double largest = *std::max_element(squares.begin(), squares.end());
  const double factor = row_factors(Distance::Euclidean, {0}, largest).front();
  SimilarityRows right(plan.distance, largest, PackedRows::Side::Right, static_cast<int>(gallery),
                       embeddings.dimension);
  SimilarityRows left(plan.distance, largest, PackedRows::Side::Left, static_cast<int>(block), embeddings.dimension);
  right.assign(embeddings.row(queries), static_cast<int>(gallery));
  const auto stride = static_cast<size_t>(right.padded_rows());
  std::vector<float> values;
  for (size_t first = 0; first < queries; first += block) {
    const size_t count = std::min(block, queries - first);
    left.assign(embeddings.row(first), static_cast<int>(count));
    values.resize(static_cast<size_t>(left.padded_rows()) * stride);
    similarities(left, right, values.data(), static_cast<ptrdiff_t>(stride));
    for (size_t q = 0; q < count; q++) {
      const std::span<float> row(values.data() + q * stride, gallery);
      to_distances(plan.distance, squares[first + q], factor * factor, row);
      take(first + q, row);
    }
  }
}

double pair_distance(Distance distance, const float* a, const float* b, int dimension) {
  double aa = 0, bb = 0, ab = 0;
  for (int i = 0; i < dimension; i++) {
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
    ab += static_cast<double>(a[i]) * b[i];
  }
  if (distance == Distance::Euclidean) return std::max(0.0, aa + bb - 2 * ab);
  const bool zeros = aa == 0 || bb == 0;
  const double product = zeros ? 0 : ab / std::sqrt(aa * bb);
  if (distance == Distance::Cosine) return -product;
  return zeros ? 1 : std::max(0.0, 2 - 2 * product);  // similarity.h
}

EvaluationPlan trial_plan(const EvaluationPlan& plan, size_t setting, int trial) {
  EvaluationPlan one = plan;
  const size_t column = setting * static_cast<size_t>(plan.trials) + static_cast<size_t>(trial);
  one.settings = {plan.settings[setting]};
  one.trials = 1;
  one.rerank = false;
  for (uint64_t& drawn : one.drawn) drawn = drawn >> column & 1;
  for (uint64_t& asked : one.asked) asked = asked >> column & 1;
  return one;
}

}  // namespace mpanet

// What training and evaluation need around the network: norms, scaling, layouts, rankings.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

size_t l2_norm_workspace_bytes(int64_t) { return 0; }

void l2_norm(Stream, const real* x, int64_t count, real* norm, void*) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  *norm = static_cast<real>(std::sqrt(sum));
}

void scale(Stream, real* x, int64_t count, real factor) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) x[i] *= factor;
}

void check_finite(Stream, const real* x, int64_t count, int32_t* finite) {
  int good = 1;
#pragma omp parallel for schedule(static) reduction(min : good) if (count > kSerialCount)
  for (int64_t i = 0; i < count; i++) good = std::min(good, std::isfinite(x[i]) ? 1 : 0);
  *finite = good;
}

void transpose(Stream, const real* from, int64_t batch, int64_t rows, int64_t columns, real* to) {
#pragma omp parallel for collapse(2) schedule(static) if (batch * rows * columns > kSerialCount)
  for (int64_t b = 0; b < batch; b++)
    for (int64_t j = 0; j < columns; j++)
      for (int64_t i = 0; i < rows; i++) to[(b * columns + j) * rows + i] = from[(b * rows + i) * columns + j];
}

void squared_norms(Stream, const real* x, int64_t rows, int d, real* norms) {
#pragma omp parallel for schedule(static) if (rows * d > kSerialCount)
  for (int64_t i = 0; i < rows; i++) {
    real sum = 0;
    for (int j = 0; j < d; j++) sum += x[i * d + j] * x[i * d + j];
    norms[i] = sum;
  }
}

void squared_distances(Stream, const real* query_norms, const real* gallery_norms, int64_t queries, int64_t gallery,
                       real* distance) {
#pragma omp parallel for schedule(static) if (queries * gallery > kSerialCount)
  for (int64_t q = 0; q < queries; q++)
    for (int64_t g = 0; g < gallery; g++) {
      real& at = distance[q * gallery + g];
      at = query_norms[q] + gallery_norms[g] - 2 * at;
    }
}

size_t rank_workspace_bytes(int64_t, int64_t) { return 0; }

void rank(Stream, const real* distance, int64_t queries, int64_t gallery, int32_t* order, void*) {
#pragma omp parallel for schedule(dynamic)
  for (int64_t q = 0; q < queries; q++) {
    const real* row = distance + q * gallery;
    int32_t* to = order + q * gallery;
    std::iota(to, to + gallery, 0);
    std::sort(to, to + gallery, [row](int32_t a, int32_t b) {
      const bool last_a = std::isnan(row[a]), last_b = std::isnan(row[b]);
      if (last_a != last_b) return last_b;
      return row[a] != row[b] && !last_a ? row[a] < row[b] : a < b;
    });
  }
}

}  // namespace mpanet::PRECISION::cpu

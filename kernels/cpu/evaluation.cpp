// Distances between embeddings and their ranking.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

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

// Separation loss: the overlap of an image's pattern maps.
//   loss = sum over images, positions, pairs j < l of m_j m_l / (n pairs),  pairs = p (p - 1) / 2
//   dm_j = (sum of the others) / (n pairs)
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

size_t separation_workspace_bytes(int, int, int) { return 0; }

void separation_forward(Stream, const real* masks, int n, int hw, int p, real* loss, void*) {
  real total = 0;
  for (int i = 0; i < n; i++) {
    real image = 0;  // summed image by image: a float's sum over everything at once would lose digits
    for (int64_t r = int64_t{i} * hw; r < int64_t{i + 1} * hw; r++)
      for (int j = 0; j < p; j++)
        for (int l = j + 1; l < p; l++) image += masks[r * p + j] * masks[r * p + l];
    total += image;
  }
  *loss = total / (static_cast<real>(n) * static_cast<real>(p * (p - 1) / 2));
}

void separation_backward(Stream, const real* dloss, const real* masks, int n, int hw, int p, real* dmasks,
                         Write write) {
  const real factor = *dloss / (static_cast<real>(n) * static_cast<real>(p * (p - 1) / 2));
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < int64_t{n} * hw; r++)
    for (int j = 0; j < p; j++) {
      real others = 0;
      for (int l = 0; l < p; l++)
        if (l != j) others += masks[r * p + l];
      put(dmasks[r * p + j], factor * others, write);
    }
}

}  // namespace mpanet::PRECISION::cpu

// Separation loss: the overlap of an image's pattern maps.
//   loss = sum over images, positions, pairs j < l of m_j m_l / (n pairs),  pairs = p (p - 1) / 2
//   dm_j = (sum of the others) / (n pairs)
#include <algorithm>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

size_t separation_workspace_bytes(int, int, int) { return 0; }

// Sums blocks of positions first: one float sum over all positions would have larger rounding errors.
void separation_forward(Stream, const real* masks, int n, int hw, int p, real* loss, void*) {
  constexpr int64_t kBlock = 256;
  const int64_t positions = int64_t{n} * hw;
  real total = 0;
  for (int64_t begin = 0; begin < positions; begin += kBlock) {
    real block = 0;
    for (int64_t r = begin; r < std::min(begin + kBlock, positions); r++)
      for (int j = 0; j < p; j++)
        for (int l = j + 1; l < p; l++) block += masks[r * p + j] * masks[r * p + l];
    total += block;
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

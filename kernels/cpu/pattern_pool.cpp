// Pattern alignment module, pooling: f = [mean over hw of masks_j x, mean over hw of x]. p <= 8 maps per image.
#include <algorithm>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kMaxParts = 8;

}  // namespace

void pattern_pool_forward(Stream, const storage* x, const real* masks, int n, int hw, int c, int p, real* f) {
  MPANET_CHECK(p <= kMaxParts, "expected at most {} pattern maps, got {}", kMaxParts, p);
  const real inverse_hw = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) {
    real* fi = f + int64_t{i} * (p + 1) * c;
    std::fill_n(fi, int64_t{p + 1} * c, real(0));
    for (int q = 0; q < hw; q++) {
      const storage* xq = x + (int64_t{i} * hw + q) * c;
      for (int j = 0; j <= p; j++) {
        const real m = j < p ? masks[(int64_t{i} * hw + q) * p + j] : 1;
        real* sum = fi + int64_t{j} * c;
        for (int k = 0; k < c; k++) sum[k] += m * load(xq[k]);
      }
    }
    for (int64_t k = 0; k < int64_t{p + 1} * c; k++) fi[k] *= inverse_hw;
  }
}

void pattern_pool_backward(Stream, const real* df, const storage* x, const real* masks, int n, int hw, int c, int p,
                           storage* dx, Write dx_write, real* dmasks, Write dmasks_write) {
  const real inverse_hw = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static) collapse(2)
  for (int i = 0; i < n; i++)
    for (int q = 0; q < hw; q++) {
      const int64_t r = int64_t{i} * hw + q;
      const real* dfi = df + int64_t{i} * (p + 1) * c;
      real m[kMaxParts + 1];
      for (int j = 0; j < p; j++) {
        m[j] = masks[r * p + j] * inverse_hw;
        real s = 0;
#pragma omp simd reduction(+ : s)
        for (int k = 0; k < c; k++) s += dfi[int64_t{j} * c + k] * load(x[r * c + k]);
        put(dmasks[r * p + j], s * inverse_hw, dmasks_write);
      }
      m[p] = inverse_hw;
      for (int k = 0; k < c; k++) {
        real v = 0;
        for (int j = 0; j <= p; j++) v += m[j] * dfi[int64_t{j} * c + k];
        put(dx[r * c + k], v, dx_write);
      }
    }
}

}  // namespace mpanet::PRECISION::cpu

// Pattern alignment module: the maps and the pooling. p <= 8 maps per image.
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kMaxParts = 8;

void check(int p) { MPANET_CHECK(p >= 1 && p <= kMaxParts, "expected 1 to {} pattern maps, got {}", kMaxParts, p); }

// Lanes have sums of their own, which vectorises, and in one sum thousands of terms would be rounded too often.
real dot(const real* a, const storage* x, int c) {
  constexpr int kLanes = 32;
  real sums[kLanes] = {}, total = 0;
  int k = 0;
  for (; k + kLanes <= c; k += kLanes)
    for (int lane = 0; lane < kLanes; lane++) sums[lane] += a[k + lane] * load(x[k + lane]);
  for (int lane = 0; k < c; k++, lane++) sums[lane] += a[k] * load(x[k]);
  for (const real sum : sums) total += sum;
  return total;
}

}  // namespace

void pattern_alignment_forward(Stream, const storage* x, const real* w, const real* b, int n, int hw, int c, int p,
                               real* masks, real* f) {
  check(p);
  const real inverse_hw = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) {
    real* fi = f + int64_t{i} * (p + 1) * c;
    std::fill_n(fi, int64_t{p + 1} * c, real(0));
    for (int64_t row = int64_t{i} * hw; row < int64_t{i + 1} * hw; row++) {
      const storage* xr = x + row * c;
      for (int j = 0; j <= p; j++) {
        real m = 1;
        if (j < p) masks[row * p + j] = m = 1 / (1 + std::exp(-(dot(w + int64_t{j} * c, xr, c) + b[j])));
        real* sum = fi + int64_t{j} * c;
        for (int k = 0; k < c; k++) sum[k] += m * load(xr[k]);
      }
    }
    for (int64_t k = 0; k < int64_t{p + 1} * c; k++) fi[k] *= inverse_hw;
  }
}

void pattern_alignment_backward(Stream, const real* df, const real* dmasks, const storage* x, const real* masks,
                                const real* w, int n, int hw, int c, int p, storage* dx, Write dx_write, real* image_dw,
                                real* image_db) {
  check(p);
  const real inverse_hw = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) {
    const real* dfi = df == nullptr ? nullptr : df + int64_t{i} * (p + 1) * c;
    real *dw = image_dw + int64_t{i} * p * c, *db = image_db + int64_t{i} * p;
    std::fill_n(dw, int64_t{p} * c, real(0));
    std::fill_n(db, p, real(0));
    for (int64_t row = int64_t{i} * hw; row < int64_t{i + 1} * hw; row++) {
      const storage* xr = x + row * c;
      real ds[kMaxParts], scaled[kMaxParts];
      for (int j = 0; j < p; j++) {
        const real m = masks[row * p + j], given = dmasks == nullptr ? 0 : dmasks[row * p + j];
        const real pooled = dfi == nullptr ? 0 : dot(dfi + int64_t{j} * c, xr, c) * inverse_hw;
        ds[j] = (given + pooled) * m * (1 - m);
        scaled[j] = m * inverse_hw;
        db[j] += ds[j];
        real* sum = dw + int64_t{j} * c;
        for (int k = 0; k < c; k++) sum[k] += ds[j] * load(xr[k]);
      }
      for (int k = 0; k < c; k++) {
        real v = 0;
        for (int j = 0; j < p; j++) v += ds[j] * w[int64_t{j} * c + k];
        if (dfi != nullptr) {
          v += inverse_hw * dfi[int64_t{p} * c + k];
          for (int j = 0; j < p; j++) v += scaled[j] * dfi[int64_t{j} * c + k];
        }
        put(dx[row * c + k], v, dx_write);
      }
    }
  }
}

}  // namespace mpanet::PRECISION::cpu

// Pattern alignment module: maps and pooling. p <= 8 maps per image.
//   masks = sigmoid(x w' + b)
//   f = [mean over hw of masks_j x, mean over hw of x]
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kMaxParts = 8;
constexpr int64_t kTile = 256;  // rows whose weight gradient is summed before tiles are added in order

}  // namespace

void pattern_maps_forward(Stream, const storage* x, const real* w, const real* b, int64_t rows, int c, int p,
                          real* masks) {
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; r++)
    for (int j = 0; j < p; j++) {
      const storage* xr = x + r * c;
      const real* wj = w + int64_t{j} * c;
      real s = 0;
#pragma omp simd reduction(+ : s)
      for (int k = 0; k < c; k++) s += load(xr[k]) * wj[k];
      masks[r * p + j] = 1 / (1 + std::exp(-(s + b[j])));
    }
}

// Per tile of rows: a (p, c) weight gradient and a (p) bias gradient; and the maps' gradient before the sigmoid (rows,
// p).
size_t pattern_maps_workspace_bytes(int64_t rows, int c, int p) {
  const int64_t tiles = (rows + kTile - 1) / kTile;
  return static_cast<size_t>(tiles * p * (c + 1) + rows * p) * sizeof(real);
}

void pattern_maps_backward(Stream, const real* dmasks, const real* masks, const storage* x, const real* w, int64_t rows,
                           int c, int p, storage* dx, Write dx_write, real* dw, Write dw_write, real* db,
                           Write db_write, void* workspace) {
  const int64_t tiles = (rows + kTile - 1) / kTile;
  real* ds = static_cast<real*>(workspace);  // (rows, p)
  real* partial = ds + rows * p;             // (tiles, p, c + 1), the last column is the bias's
#pragma omp parallel for schedule(static)
  for (int64_t t = 0; t < tiles; t++) {
    real* sums = partial + t * p * (c + 1);
    std::fill_n(sums, int64_t{p} * (c + 1), real(0));
    for (int64_t r = t * kTile; r < std::min(rows, (t + 1) * kTile); r++) {
      const storage* xr = x + r * c;
      for (int j = 0; j < p; j++) {
        const real m = masks[r * p + j], g = dmasks[r * p + j] * m * (1 - m);
        ds[r * p + j] = g;
        real* sum = sums + int64_t{j} * (c + 1);
        for (int k = 0; k < c; k++) sum[k] += g * load(xr[k]);
        sum[c] += g;
      }
      for (int k = 0; k < c; k++) {
        real v = 0;
        for (int j = 0; j < p; j++) v += ds[r * p + j] * w[int64_t{j} * c + k];
        put(dx[r * c + k], v, dx_write);
      }
    }
  }
  for (int j = 0; j < p; j++)
    for (int k = 0; k <= c; k++) {
      real s = 0;
      for (int64_t t = 0; t < tiles; t++) s += partial[(t * p + j) * (c + 1) + k];
      if (k < c)
        put(dw[int64_t{j} * c + k], s, dw_write);
      else
        put(db[j], s, db_write);
    }
}

void pattern_pool_forward(Stream, const storage* x, const real* masks, int n, int hw, int c, int p, real* f) {
  CHECK(p <= kMaxParts, "expected at most {} pattern maps, got {}", kMaxParts, p);
  const real share = 1 / static_cast<real>(hw);
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
    for (int64_t k = 0; k < int64_t{p + 1} * c; k++) fi[k] *= share;
  }
}

void pattern_pool_backward(Stream, const real* df, const storage* x, const real* masks, int n, int hw, int c, int p,
                           storage* dx, Write dx_write, real* dmasks, Write dmasks_write) {
  const real share = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static) collapse(2)
  for (int i = 0; i < n; i++)
    for (int q = 0; q < hw; q++) {
      const int64_t r = int64_t{i} * hw + q;
      const real* dfi = df + int64_t{i} * (p + 1) * c;
      real m[kMaxParts + 1];
      for (int j = 0; j < p; j++) {
        m[j] = masks[r * p + j] * share;
        real s = 0;
#pragma omp simd reduction(+ : s)
        for (int k = 0; k < c; k++) s += dfi[int64_t{j} * c + k] * load(x[r * c + k]);
        put(dmasks[r * p + j], s * share, dmasks_write);
      }
      m[p] = share;
      for (int k = 0; k < c; k++) {
        real v = 0;
        for (int j = 0; j <= p; j++) v += m[j] * dfi[int64_t{j} * c + k];
        put(dx[r * c + k], v, dx_write);
      }
    }
}

}  // namespace mpanet::PRECISION::cpu

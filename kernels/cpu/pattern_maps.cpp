// Pattern alignment module, the maps: masks (n hw, p) = sigmoid(x w' + b). p <= 8 maps per image.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int64_t kTile = 256;  // rows of a tile; the tiles' weight gradients are added in order

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

// A weight gradient (p, c) and a bias gradient (p) per tile of rows, and the maps' gradient before the sigmoid (rows,
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
  real* partial = ds + rows * p;             // (tiles, p, c + 1); the last column is for the bias
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

}  // namespace mpanet::PRECISION::cpu

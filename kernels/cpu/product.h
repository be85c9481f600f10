// Matrix products in plain loops, in every precision: tiles (tile.h) over panels that are packed on demand.
#pragma once
#include "kernels/cpu/convert.h"
#include "kernels/cpu/tile.h"

namespace mpanet::PRECISION::cpu {

// Two vectors wide: numbers of channels are multiples of 64, which three vectors do not divide.
using Tile = mpanet::cpu::Tile<real, 2>;
using mpanet::cpu::kTileRows;
constexpr int kTileColumns = Tile::kColumns;

// The left factor, not packed: rows[m][i * step].
template <class T>
auto rows_of(const T* const (&rows)[kTileRows], int64_t step) {
  return [&rows, step](int m, int64_t i) { return static_cast<real>(rows[m][i * step]); };
}

// c (m, n) = A B, with rows of c c_stride apart. Element (i, p) of A is a[i * row_step + p * depth_step].
// pack(first, length, column, width, panel) provides B (k, n): it writes B[first + i][column + j] to
// panel[i * kTileColumns + j] for i < length and j < width.
// Slices of k are added to c in order, for any number of threads.
template <class T, class Pack>
void packed_product(int64_t m, int64_t n, int64_t k, const T* a, int64_t row_step, int64_t depth_step, const Pack& pack,
                    real* c, int64_t c_stride, Write write) {
  constexpr int64_t kDepth = 128, kGroup = 64;  // a panel stays in the L1 cache for a group of rows
  const int64_t panels = divide_up(n, kTileColumns), groups = divide_up(m, kGroup);
#pragma omp parallel for collapse(2) schedule(static) if (m * n * k > kSerialCount)
  for (int64_t p = 0; p < panels; p++) {
    for (int64_t group = 0; group < groups; group++) {
      alignas(64) real panel[kDepth * kTileColumns] = {};
      const int64_t column = p * kTileColumns;
      const int width = static_cast<int>(std::min<int64_t>(kTileColumns, n - column));
      for (int64_t first = 0; first < k; first += kDepth) {
        const int64_t length = std::min(kDepth, k - first);
        pack(first, length, column, width, panel);
        const Write slice_write = first == 0 ? write : Write::Add;
        for (int64_t row = group * kGroup; row < std::min(m, (group + 1) * kGroup); row += kTileRows) {
          const T* rows[kTileRows];
          for (int i = 0; i < kTileRows; i++)
            rows[i] = a + std::min(row + i, m - 1) * row_step + first * depth_step;  // rows >= m are not stored
          Tile tile;
          tile.multiply_add(rows_of(rows, depth_step), panel, length);
          if (width == kTileColumns && row + kTileRows <= m) {
            tile.store(c + row * c_stride + column, c_stride, slice_write == Write::Add);
            continue;
          }
          for (int i = 0; i < kTileRows && row + i < m; i++)
            for (int j = 0; j < width; j++) put(c[(row + i) * c_stride + column + j], tile.at(i, j), slice_write);
        }
      }
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
